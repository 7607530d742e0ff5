"""What a relay sees in a stream without decoding it."""

from __future__ import annotations

import pytest

from app.chat.apis.stream_form import INFILL_STREAM, MESSAGES_STREAM, OPENAI_STREAM, StreamForm

TOKEN = b'data: {"choices":[{"delta":{"content":"a\\n\\nb [DONE]"}}]}\n\n'


@pytest.mark.parametrize(
    ("form", "piece", "is_one"),
    [
        (OPENAI_STREAM, TOKEN, True),
        (OPENAI_STREAM, TOKEN * 2, False),
        (OPENAI_STREAM, TOKEN[:-1], False),
        (OPENAI_STREAM, TOKEN[9:], False),
        (OPENAI_STREAM, b": a comment\n" + TOKEN, False),
        (OPENAI_STREAM, b": a comment\n\n", False),
        (OPENAI_STREAM, b"data: [DONE]\n\n", False),
        (OPENAI_STREAM, b'data: {"error":{"message":"x"}}\n\n', False),
        (INFILL_STREAM, b'data: {"content":"","stop":true}\n\n', False),
        (MESSAGES_STREAM, b'event: message_stop\ndata: {"type":"message_stop"}\n\n', False),
    ],
)
def test_one_event_is_recognized(form: StreamForm, piece: bytes, *, is_one: bool) -> None:
    assert form.is_one_event(piece) is is_one


def test_the_first_error_is_found() -> None:
    error = b'event: error\ndata: {"type":"error"}\n\n'
    assert MESSAGES_STREAM.find_error(TOKEN) == -1
    assert MESSAGES_STREAM.find_error(TOKEN + error + error) == len(TOKEN)
