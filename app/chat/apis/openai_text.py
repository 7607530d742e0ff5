"""OpenAI's chat completions and completions.

Source: OpenAI's API reference. Other fields than OpenAI's reach the model server too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.chat.apis.api import Api, Body
from app.chat.apis.stream_form import OPENAI_STREAM
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


def _always(body: Body) -> bool:
    return True


CHAT_COMPLETIONS = Api(
    "/v1/chat/completions",
    tasks=(ModelTask.CHAT,),
    generates=True,
    stream=OPENAI_STREAM,
    assembled=_streams_whole_chats,
    prompt=messages_of,
)
COMPLETIONS = Api(
    "/v1/completions",
    tasks=(ModelTask.COMPLETION,),
    generates=True,
    stream=OPENAI_STREAM,
    assembled=_always,
    prompt=_prompt_blocks,
)
