"""OpenAI's chat completions and completions.

Source: OpenAI's API reference. Other fields than OpenAI's reach the model server too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.chat.apis.api import Api, Body, always
from app.chat.apis.named_tool import only_tool
from app.chat.apis.stream_form import OPENAI_STREAM
from app.chat.schema.requests import CHAT_FIELDS, COMPLETION_FIELDS
from app.chat.settings import ModelTask

_BLOCK_CHARACTERS = 512
_BLOCKS = 64


def messages_of(body: Body) -> Sequence[Any]:
    """The messages of a conversation."""
    messages = body.get("messages")
    return messages if isinstance(messages, list) else ()


def text_blocks(text: object) -> Sequence[Any]:
    """The blocks of a plain prompt."""
    if not isinstance(text, str):
        return ()
    ends = range(0, min(len(text), _BLOCK_CHARACTERS * _BLOCKS), _BLOCK_CHARACTERS)
    return [text[start : start + _BLOCK_CHARACTERS] for start in ends]


def _prompt_blocks(body: Body) -> Sequence[Any]:
    return text_blocks(body.get("prompt"))


def _streams_whole_chats(body: Body) -> bool:
    """llama-server streams no `logprobs` together with tools."""
    return not (body.get("logprobs") and body.get("tools"))


def _adapted_chat(body: Body) -> Body:
    choice = body.get("tool_choice")
    if not isinstance(choice, dict) or choice.get("type") != "function":
        return body
    name = _function_name(choice)
    if not isinstance(name, str):
        return body
    tools = only_tool(body.get("tools"), name, _function_name)
    return {**body, "tools": tools, "tool_choice": "required"}


def _function_name(tool: Body) -> object:
    function = tool.get("function")
    return function.get("name") if isinstance(function, dict) else None


CHAT_COMPLETIONS = Api(
    "/v1/chat/completions",
    tasks=(ModelTask.CHAT,),
    schema=CHAT_FIELDS,
    generates=True,
    stream=OPENAI_STREAM,
    assembled=_streams_whole_chats,
    prompt=messages_of,
    adapted=_adapted_chat,
)
CHAT_INPUT_TOKENS = Api(
    "/v1/chat/completions/input_tokens",
    needs_slot=False,
    tasks=(ModelTask.CHAT,),
    schema=CHAT_FIELDS,
    prompt=messages_of,
    adapted=_adapted_chat,
)
COMPLETIONS = Api(
    "/v1/completions",
    tasks=(ModelTask.COMPLETION,),
    schema=COMPLETION_FIELDS,
    separate_texts=True,
    generates=True,
    stream=OPENAI_STREAM,
    assembled=always,
    prompt=_prompt_blocks,
)
