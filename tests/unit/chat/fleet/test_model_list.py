"""Lists of models, also those of damaged and hostile servers."""

from __future__ import annotations

import json

import pytest

from app.chat.fleet.model_list import MOST_MODELS, InvalidList, ModelList, read_model_list
from tests.doubles.model_server import listing

NAMES = ("openai/gpt-4.1-mini", "llama3.2:3b", "@cf/meta/llama-3.1-8b", "/models/x.gguf", "A_b-1")


def of(*entries: object) -> bytes:
    return json.dumps({"object": "list", "data": entries}).encode()


@pytest.mark.parametrize(
    "content",
    [listing(*NAMES), json.dumps([{"id": name} for name in NAMES]).encode()],
    ids=["openai", "array"],
)
def test_the_names_of_usual_servers_are_read(content: bytes) -> None:
    assert read_model_list(content) == ModelList(NAMES)


@pytest.mark.parametrize("content", [b'{"data": []}', b'{"data": null}', b"[]"])
def test_a_server_may_have_no_model(content: bytes) -> None:
    assert read_model_list(content) == ModelList(())


@pytest.mark.parametrize(
    "entry",
    [
        {"id": 7},
        {"id": None},
        {"id": ["a"]},
        {"id": ""},
        {"id": "auto"},
        {"id": "x" * 129},
        {"id": "two words"},
        {"id": "line\nbreak"},
        {"id": "a\n"},
        {"id": "<script>"},
        {"id": "ä"},
        {"id": "..\u202e"},
        {"name": "a"},
        "a",
        None,
        [["a"]],
    ],
    ids=repr,
)
def test_an_invalid_entry_is_left_out_and_counted(entry: object) -> None:
    assert read_model_list(of({"id": "good"}, entry)) == ModelList(("good",), ignored=1)


def test_a_name_counts_once() -> None:
    assert read_model_list(of({"id": "a"}, {"id": "a"})) == ModelList(("a",), ignored=1)


def test_ten_thousand_models_are_cut_to_the_first() -> None:
    listed = read_model_list(listing(*(f"m{number}" for number in range(10_000))))
    assert listed.models == tuple(f"m{number}" for number in range(MOST_MODELS))
    assert listed.ignored == 10_000 - MOST_MODELS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b"<html>", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"data":' * 100_000, "not valid JSON"),
        (b"{}", "OpenAI's form"),
        (b"7", "OpenAI's form"),
        (b'"text"', "OpenAI's form"),
        (b'{"data": {"id": "a"}}', "OpenAI's form"),
        (b'{"data": "abc"}', "OpenAI's form"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_anything_else_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InvalidList, match=message):
        read_model_list(content)
