"""The schema of OpenAI's transcriptions, whose fields are the texts of a form."""

from __future__ import annotations

from app.chat.schema.checks import integer, items, number, one_of, refused, text
from app.chat.schema.requests import CHAT_FIELDS
from app.chat.schema.sampling import MOST_TOKENS
from app.chat.schema.schema import Schema

_LONGEST_PROMPT = 16 * 1024
# llama-server reads each field as one of a chat completion, whose checks are those of JSON values.
_OF_CHATS = dict.fromkeys(CHAT_FIELDS.known, refused("it is a field of chat completions"))

TRANSCRIPTION_FIELDS = Schema(
    {
        **_OF_CHATS,
        "prompt": text(_LONGEST_PROMPT),
        "language": text(64),
        "temperature": number(0, 2),
        "max_tokens": integer(1, MOST_TOKENS),
        # Those that are JSON: white space in front of another text would change it.
        "response_format": one_of("json", "verbose_json", "diarized_json"),
        "timestamp_granularities": items(one_of("word", "segment"), 2),
        "include": items(text(64), 8),
        "chunking_strategy": text(1024),
        "hotwords": text(_LONGEST_PROMPT),
        "user": text(256),
    },
)
