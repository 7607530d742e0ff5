"""OpenAI's Responses API, as far as a server without stored responses can have it.

Sources: OpenAI's API reference; llama.cpp's tools/server/server-chat.cpp, b11312, which turns the
request into a chat completion. What it would ignore or refuse although a chat completion can do it
is translated here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.chat.apis.api import Api, Body, always
from app.chat.apis.error_form import RESPONSES_ERRORS
from app.chat.apis.named_tool import only_tool
from app.chat.apis.openai_text import text_blocks
from app.chat.apis.stream_form import RESPONSES_STREAM
from app.chat.apis.usage import RESPONSES_USAGE
from app.chat.openai.errors import ApiError
from app.chat.relay.named_event_assembly import ResponsesAssembly
from app.chat.schema.other_apis import RESPONSES_FIELDS
from app.chat.settings import ModelTask

# Each of them needs responses that the server keeps.
_NOT_STORED = ("previous_response_id", "conversation", "prompt", "background")


def _prompt(body: Body) -> Sequence[Any]:
    given = body.get("input")
    items = given if isinstance(given, list) else text_blocks(given)
    return (str(body.get("instructions") or ""), *items)


def _adapted(body: Body) -> Body:
    for field in _NOT_STORED:
        if body.get(field):
            message = f"'{field}' is not supported: the gateway stores no responses"
            raise ApiError(400, message, code="unsupported_parameter", param=field)
    changed = {name: value for name, value in body.items() if value is not None}
    if isinstance(items := body.get("input"), list):
        changed["input"] = [_item(item) for item in items if not _is_opaque_reasoning(item)]
    if (form := _response_format(body.get("text"))) is not None:
        changed.setdefault("response_format", form)
    if (name := _named_function(body.get("tool_choice"))) is not None:
        changed["tools"] = only_tool(body.get("tools"), name, lambda tool: tool.get("name"))
        changed["tool_choice"] = "required"
    return body if changed == body else changed


def _item(item: Any) -> Any:
    """A message of the assistant may lack its type."""
    if isinstance(item, dict) and item.get("role") == "assistant" and "type" not in item:
        return {**item, "type": "message"}
    return item


def _is_opaque_reasoning(item: Any) -> bool:
    """Reasoning without its text: encrypted, or cut by the client. No model can read it."""
    if not isinstance(item, dict) or item.get("type") != "reasoning":
        return False
    content = item.get("content")
    first = content[0] if isinstance(content, list) and content else None
    return not (isinstance(first, dict) and isinstance(first.get("text"), str))


def _response_format(text: Any) -> Mapping[str, Any] | None:
    """The format of the text as chat completions have it."""
    form = text.get("format") if isinstance(text, dict) else None
    if not isinstance(form, dict):
        return None
    if form.get("type") == "json_schema":
        fields = {name: value for name, value in form.items() if name != "type"}
        return {"type": "json_schema", "json_schema": fields}
    return {"type": "json_object"} if form.get("type") == "json_object" else None


def _named_function(choice: Any) -> str | None:
    if isinstance(choice, dict) and choice.get("type") == "function":
        name = choice.get("name")
        return name if isinstance(name, str) else None
    return None


RESPONSES = Api(
    "/v1/responses",
    schema=RESPONSES_FIELDS,
    tasks=(ModelTask.CHAT,),
    generates=True,
    stream=RESPONSES_STREAM,
    assembled=always,
    assembly=ResponsesAssembly,
    prompt=_prompt,
    adapted=_adapted,
    usage=RESPONSES_USAGE,
    errors=RESPONSES_ERRORS,
)
RESPONSES_INPUT_TOKENS = Api(
    "/v1/responses/input_tokens",
    needs_slot=False,
    schema=RESPONSES_FIELDS,
    tasks=(ModelTask.CHAT,),
    prompt=_prompt,
    adapted=_adapted,
    usage=RESPONSES_USAGE,
)
