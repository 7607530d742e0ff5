"""What a relay sees in a stream without decoding it."""

from __future__ import annotations

import pytest

from app.chat.apis.stream_form import INFILL_STREAM, MESSAGES_STREAM, OPENAI_STREAM, StreamForm

TOKEN = b'data: {"choices":[{"delta":{"content":"a\\n\\nb [DONE]"}}]}\n\n'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("form", "read", "is_one"),
    [
        (OPENAI_STREAM, chunk(TOKEN), True),
        (OPENAI_STREAM, chunk(TOKEN) * 2, False),
        (OPENAI_STREAM, chunk(TOKEN * 2), False),
        (OPENAI_STREAM, chunk(TOKEN)[:-2], False),
        (OPENAI_STREAM, chunk(TOKEN)[:-3], False),
        (OPENAI_STREAM, chunk(TOKEN)[1:], False),
        (OPENAI_STREAM, chunk(TOKEN) + b"0\r\n\r\n", False),
        (OPENAI_STREAM, b"0" + chunk(TOKEN), False),
        (OPENAI_STREAM, b"ff" + chunk(TOKEN)[2:], False),
        (OPENAI_STREAM, TOKEN, False),
        (OPENAI_STREAM, chunk(TOKEN[9:]), False),
        (OPENAI_STREAM, chunk(b": a comment\n" + TOKEN), False),
        (OPENAI_STREAM, chunk(b": a comment\n\n"), False),
        (OPENAI_STREAM, chunk(b"data: [DONE]\n\n"), False),
        (OPENAI_STREAM, chunk(b'data: {"error":{"message":"x"}}\n\n'), False),
        (INFILL_STREAM, chunk(b'data: {"content":"","stop":true}\n\n'), False),
        (MESSAGES_STREAM, chunk(b'event: message_stop\ndata: {"type":"x"}\n\n'), False),
    ],
)
def test_a_chunk_with_one_event_is_recognized(
    form: StreamForm, read: bytes, *, is_one: bool
) -> None:
    assert form.is_one_event(read) is is_one


def test_the_first_error_is_found() -> None:
    error = b'event: error\ndata: {"type":"error"}\n\n'
    assert MESSAGES_STREAM.find_error(TOKEN) == -1
    assert MESSAGES_STREAM.find_error(TOKEN + error + error) == len(TOKEN)
