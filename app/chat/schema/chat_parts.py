"""What a chat consists of: messages, tools, and the form of the answer."""

from __future__ import annotations

from typing import Any

from app.chat.schema.checks import (
    Check,
    Problem,
    by_type,
    fields,
    free,
    items,
    measure,
    one_of,
    text,
    wrong_type,
)
from app.chat.schema.json_schemas import json_schema

MOST_MESSAGES = 8192
MOST_PARTS = 1024
MOST_TOOL_CALLS = 256
# OpenAI allows 128. Each takes part of the context.
MOST_TOOLS = 512
MOST_TOOL_VALUES = 40_000
LONGEST_NAME = 256
# The size of the body limits texts; an image or a recording is one string too.
_ANY_TEXT = text(2**31)
_FREE = free(values=2000, depth=24, characters=2**31)


def _part(part: Any, param: str) -> None:
    if type(part) is not dict:
        raise wrong_type(param, "an object", part)
    kind = part.get("type")
    if type(kind) is not str or len(kind) > LONGEST_NAME:
        raise Problem(f"{param}.type", "must be a short string")
    if kind == "text" and type(part.get("text")) is not str:
        raise wrong_type(f"{param}.text", "a string", part.get("text"))
    _FREE(part, param)


_content: Check = by_type(
    "a string or an array of parts", text=_ANY_TEXT, array=items(_part, MOST_PARTS), object=_FREE
)
_called: Check = fields(
    {"name": text(LONGEST_NAME), "arguments": by_type("a string", text=_ANY_TEXT, object=_FREE)},
    others=_FREE,
)
_tool_call: Check = fields({"function": _called, "type": text(64)}, others=_FREE)
_MESSAGE: dict[str, Check] = {
    "role": text(64, shortest=1),
    "content": _content,
    "name": text(LONGEST_NAME),
    "tool_call_id": text(LONGEST_NAME),
    "tool_calls": items(_tool_call, MOST_TOOL_CALLS),
    "function_call": _called,
    "reasoning_content": _content,
}


def messages(value: Any, param: str) -> None:
    """The messages of a conversation."""
    if type(value) is not list:
        raise wrong_type(param, "an array of messages", value)
    if not value:
        raise Problem(param, "must not be empty")
    if len(value) > MOST_MESSAGES:
        raise Problem(param, f"has {len(value)} messages; allowed: {MOST_MESSAGES}")
    for index, message in enumerate(value):
        if type(message) is not dict:
            raise wrong_type(f"{param}.{index}", "a message", message)
        if message.get("role") is None:
            raise Problem(f"{param}.{index}.role", "is missing")
        for name, item in message.items():
            if item is None or (name == "content" and type(item) is str):
                continue
            _MESSAGE.get(name, _FREE)(item, f"{param}.{index}.{name[:64]}")


_FUNCTION: dict[str, Check] = {
    "name": text(LONGEST_NAME, shortest=1),
    "description": text(32 * 1024),
    "parameters": json_schema,
}
_function: Check = fields(_FUNCTION, required=("name",), others=_FREE)


def _tool(tool: Any, param: str) -> None:
    if type(tool) is not dict:
        raise wrong_type(param, "an object", tool)
    kind = tool.get("type")
    if type(kind) is not str or len(kind) > 64:
        raise Problem(f"{param}.type", "is missing" if kind is None else "must be a short string")
    if kind == "function":
        if tool.get("function") is None:
            raise Problem(f"{param}.function", "is missing")
        _function(tool["function"], f"{param}.function")
    else:
        _FREE(tool, param)


_tools: Check = items(_tool, MOST_TOOLS)


def tools(value: Any, param: str) -> None:
    """The tools that a model may call."""
    _tools(value, param)
    measure(value, param, MOST_TOOL_VALUES, 80, 2**20)


functions: Check = items(_function, MOST_TOOLS)
tool_choice: Check = by_type(
    "a string or an object", text=text(LONGEST_NAME), object=free(values=1000, depth=8)
)
_named_schema: Check = fields(
    {"schema": json_schema, "name": text(LONGEST_NAME), "description": text(32 * 1024)},
    others=free(),
)
response_format: Check = fields(
    {
        "type": one_of("text", "json_object", "json_schema", "grammar", "structural_tag"),
        "json_schema": _named_schema,
        "schema": json_schema,
        "grammar": text(64 * 1024),
    },
    others=free(),
)
