"""Anthropic's Messages API.

Sources: Anthropic's API reference; llama.cpp's tools/server/server-chat.cpp, b11312, which turns
the request into a chat completion and passes only some fields on.
"""

from __future__ import annotations

from typing import Any

from app.chat.apis.api import Api, Body, always
from app.chat.apis.error_form import ANTHROPIC_ERRORS
from app.chat.apis.named_tool import only_tool
from app.chat.apis.openai_text import messages_of
from app.chat.apis.stream_form import MESSAGES_STREAM
from app.chat.apis.usage import MESSAGES_USAGE
from app.chat.openai.errors import ApiError
from app.chat.relay.named_event_assembly import MessageAssembly
from app.chat.schema.other_apis import MESSAGES_FIELDS
from app.chat.settings import ModelTask


def _adapted(body: Body) -> Body:
    _refuse_schema(body)
    changed = {name: value for name, value in body.items() if value is not None}
    if isinstance(tools := body.get("tools"), list):
        changed["tools"] = [tool for tool in tools if not _is_servers_own(tool)]
    kind = _of(body.get("tool_choice"), "type")
    name = _of(body.get("tool_choice"), "name")
    if kind == "none":
        changed.pop("tools", None)
        changed.pop("tool_choice", None)
    elif kind == "tool" and isinstance(name, str):
        changed["tools"] = only_tool(changed.get("tools"), name, lambda tool: tool.get("name"))
    thinking = body.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "disabled":
        given = changed.get("chat_template_kwargs")
        options = given if isinstance(given, dict) else {}
        changed["chat_template_kwargs"] = {"enable_thinking": False, **options}
    return body if changed == body else changed


def _refuse_schema(body: Body) -> None:
    """llama-server ignores it, and the client would rely on the form of the text."""
    for name, form in (
        ("output_format", body.get("output_format")),
        ("output_config.format", _of(body.get("output_config"), "format")),
    ):
        if form is not None:
            message = f"'{name}' is not supported; use a tool, or /v1/chat/completions"
            raise ApiError(400, message, code="unsupported_parameter", param=name)


def _of(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else None


def _is_servers_own(tool: Any) -> bool:
    """A tool that Anthropic's servers run or know, such as web search: it has no schema."""
    return isinstance(tool, dict) and "input_schema" not in tool and "type" in tool


MESSAGES = Api(
    "/v1/messages",
    schema=MESSAGES_FIELDS,
    tasks=(ModelTask.CHAT,),
    generates=True,
    stream=MESSAGES_STREAM,
    assembled=always,
    assembly=MessageAssembly,
    prompt=messages_of,
    adapted=_adapted,
    usage=MESSAGES_USAGE,
    errors=ANTHROPIC_ERRORS,
)
COUNT_TOKENS = Api(
    "/v1/messages/count_tokens",
    needs_slot=False,
    schema=MESSAGES_FIELDS,
    tasks=(ModelTask.CHAT,),
    prompt=messages_of,
    adapted=_adapted,
    usage=MESSAGES_USAGE,
    errors=ANTHROPIC_ERRORS,
)
