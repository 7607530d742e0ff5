"""How much of a request is images, recordings and files."""

from __future__ import annotations

from typing import Any

import pytest

from app.chat.schema.media import media_of

DATA = "A" * 1000
PICTURE = {"type": "base64", "media_type": "image/png", "data": DATA}


@pytest.mark.parametrize(
    "item",
    [
        {"content": [{"type": "image_url", "image_url": {"url": DATA}}]},
        {"content": [{"type": "input_image", "image_url": DATA}]},
        {"content": [{"type": "image", "source": PICTURE}]},
        {
            "content": [
                {"type": "tool_result", "content": [{"type": "image", "source": PICTURE}]},
            ]
        },
        {"type": "function_call_output", "output": [{"type": "input_image", "image_url": DATA}]},
    ],
    ids=["chat", "responses", "messages", "tool result of messages", "tool result of responses"],
)
def test_an_image_costs_a_fixed_number_of_tokens(item: dict[str, Any]) -> None:
    for body in ({"messages": [item]}, {"input": [item]}):
        media = media_of(body)
        assert (media.characters, media.tokens) == (1000, 1024)


def test_a_file_costs_as_much_as_a_text() -> None:
    part = {"type": "file", "file": {"file_data": DATA, "filename": "a.pdf"}}
    media = media_of({"messages": [{"content": [part]}]})
    assert (media.characters, media.tokens) == (1000, 250)


def test_texts_and_damaged_parts_are_no_media() -> None:
    parts: list[Any] = [{"type": "text", "text": DATA}, {"type": ["image"]}, {}, None, 3, "image"]
    for content in (parts, DATA, None):
        assert media_of({"messages": [{"content": content}, DATA, None]}).characters == 0
