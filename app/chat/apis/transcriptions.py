"""OpenAI's transcriptions: texts of recordings.

Sources: OpenAI's API reference; llama.cpp's tools/server/server-chat.cpp, b11312, which turns the
form into a chat completion for any model that reads audio, and offers the format `json` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.chat.apis.api import Api, Body
from app.chat.apis.openai_text import text_blocks
from app.chat.apis.stream_form import OPENAI_STREAM
from app.chat.apis.usage import RESPONSES_USAGE
from app.chat.schema.transcriptions import TRANSCRIPTION_FIELDS
from app.chat.settings import ModelTask


def _prompt(body: Body) -> Sequence[Any]:
    return text_blocks(body.get("prompt"))


# Without `stream` it is not streamed inside either: many servers of this API do not stream.
TRANSCRIPTIONS = Api(
    "/v1/audio/transcriptions",
    tasks=(ModelTask.TRANSCRIPTION, ModelTask.CHAT),
    schema=TRANSCRIPTION_FIELDS,
    file="file",
    needs=("audio",),
    generates=True,
    stream=OPENAI_STREAM,
    prompt=_prompt,
    usage=RESPONSES_USAGE,
)
