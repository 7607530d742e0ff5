"""The schemas of the other APIs: OpenAI's Responses, Anthropic's Messages, llama-server's own.

The model server, or the gateway, turns most of them into chat completions. What a chat completion
limits is limited here too, under each name.
"""

from __future__ import annotations

from typing import Any

from app.chat.schema.chat_parts import LONGEST_NAME, MOST_TOOLS, messages, tool_choice
from app.chat.schema.checks import (
    Check,
    boolean,
    by_type,
    fields,
    free,
    integer,
    items,
    measure,
    one_of,
    text,
    token_ids,
    wrong_type,
)
from app.chat.schema.json_schemas import json_schema
from app.chat.schema.requests import CHAT_FIELDS, COMPLETION_FIELDS
from app.chat.schema.sampling import LONGEST_STOP, MOST_STOPS, MOST_TOKENS
from app.chat.schema.schema import Schema

MOST_ITEMS = 8192
_any_text: Check = text(2**31)
_setting: Check = free(values=1000, depth=16, characters=64 * 1024)
_FREE: Check = free(values=5000, depth=24, characters=2**31)
_MOST_TOOL_VALUES = 40_000


def _tools_with(schema: str) -> Check:
    """Tools whose schema has this name."""
    tool = fields(
        {
            schema: json_schema,
            "name": text(LONGEST_NAME, shortest=1),
            "description": text(32 * 1024),
            "type": text(64),
        },
        others=_FREE,
    )
    all_tools = items(tool, MOST_TOOLS)

    def check(value: Any, param: str) -> None:
        all_tools(value, param)
        measure(value, param, _MOST_TOOL_VALUES, 80, 2**20)

    return check


_parts: Check = by_type("a string or an array", text=_any_text, array=items(_FREE, MOST_ITEMS))
# Of a chat completion: the model server reads them in these requests too.
_CHAT = {
    name: check
    for name, check in CHAT_FIELDS.known.items()
    if name not in ("messages", "tools", "functions", "audio", "prediction")
}

RESPONSES_FIELDS = Schema(
    {
        **_CHAT,
        "input": _parts,
        "instructions": _any_text,
        "tools": _tools_with("parameters"),
        "text": fields(
            {
                "format": fields(
                    {"schema": json_schema, "type": text(64), "name": text(LONGEST_NAME)},
                    others=_setting,
                ),
                "verbosity": text(64),
            },
            others=_setting,
        ),
        "reasoning": _setting,
        "max_output_tokens": integer(-1, MOST_TOKENS),
        "max_tool_calls": integer(0, MOST_TOKENS),
        "include": items(text(256), 64),
        "truncation": text(64),
        "background": boolean,
        "previous_response_id": text(512),
        "conversation": _setting,
        "prompt": _setting,
        "client_metadata": _setting,
        "context_management": _setting,
    },
    required=("input",),
)
MESSAGES_FIELDS = Schema(
    {
        **_CHAT,
        "messages": messages,
        "system": _parts,
        "tools": _tools_with("input_schema"),
        "tool_choice": tool_choice,
        "max_tokens": integer(-1, MOST_TOKENS),
        "stop_sequences": items(text(LONGEST_STOP), MOST_STOPS),
        "thinking": _setting,
        "container": _setting,
        "mcp_servers": _setting,
        "context_management": _setting,
        "output_config": _setting,
        "output_format": _setting,
        "inference_geo": text(64),
        "speed": text(64),
        "betas": items(text(256), 64),
        "anthropic_version": text(64),
        "cache_control": _setting,
    },
    required=("messages",),
)


def _infill_files(value: Any, param: str) -> None:
    items(fields({"filename": text(4096), "text": _any_text}, others=_setting), 1024)(value, param)


INFILL_FIELDS = Schema(
    {
        **COMPLETION_FIELDS.known,
        "input_prefix": _any_text,
        "input_suffix": _any_text,
        "input_extra": _infill_files,
    }
)


def _tokenized(value: Any, param: str) -> None:
    if type(value) is list:
        if not set(map(type, value)) <= {int, str}:
            raise wrong_type(param, "an array of texts and token ids", value)
    else:
        _any_text(value, param)


TOKENIZE_FIELDS = Schema(
    {
        "content": _tokenized,
        "prompt": _tokenized,
        "add_special": boolean,
        "add_special_tokens": boolean,
        "parse_special": boolean,
        "with_pieces": boolean,
        "return_token_strs": boolean,
        "messages": messages,
        "tools": CHAT_FIELDS.known["tools"],
        "add_generation_prompt": boolean,
        "continue_final_message": boolean,
        "chat_template_kwargs": CHAT_FIELDS.known["chat_template_kwargs"],
    }
)
DETOKENIZE_FIELDS = Schema({"tokens": token_ids(2**22), "response_format": one_of("json")})
