"""The metadata of GGUF files, and files that are none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from components.config.gguf_header import Omitted, UnreadableHeaderError, read_header
from tests.unit.components.config.gguf_files import HeaderValue, write_gguf


def test_values_of_every_kind_are_read(tmp_path: Path) -> None:
    file = write_gguf(
        tmp_path / "model.gguf",
        {
            "general.architecture": "llama",
            "llama.block_count": 30,
            "general.parameter_count": 2**40,
            "llama.attention.causal": True,
            "llama.rope.freq_base": 0.5,
            "llama.attention.head_count_kv": [3, 0, 3],
            "tokenizer.ggml.tokens": ["<s>", "▁the", "x"],
            "tokenizer.ggml.scores": list(range(5000)),
            "general.name": "after the arrays",
        },
    )
    assert read_header(file) == {
        "general.architecture": "llama",
        "llama.block_count": 30,
        "general.parameter_count": 2**40,
        "llama.attention.causal": True,
        "llama.rope.freq_base": 0.5,
        "llama.attention.head_count_kv": (3, 0, 3),
        "tokenizer.ggml.tokens": Omitted(3),
        "tokenizer.ggml.scores": Omitted(5000),
        "general.name": "after the arrays",
    }


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"version https://git-lfs.github.com"])
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    with pytest.raises(UnreadableHeaderError, match="is not a GGUF file"):
        read_header(file)


def test_an_old_version_is_refused(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "model.gguf", {"general.name": "old"}, version=1)
    with pytest.raises(UnreadableHeaderError, match="version"):
        read_header(file)


def test_a_file_that_ends_early_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    values: dict[str, HeaderValue] = {
        "general.architecture": "llama",
        "llama.block_count": 30,
        "llama.heads": [1, 2],
    }
    content = write_gguf(tmp_path / "whole.gguf", values).read_bytes()
    file = tmp_path / "model.gguf"
    for length in range(4, len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(UnreadableHeaderError):
            read_header(file)


@pytest.mark.parametrize("count", [2**31, 2**63])
def test_a_damaged_count_of_values_is_refused_at_once(tmp_path: Path, count: int) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, count) + bytes(1024))
    with pytest.raises(UnreadableHeaderError, match="damaged"):
        read_header(file)


def test_a_damaged_length_of_an_array_is_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    key = struct.pack("<Q", 1) + b"k"
    array = struct.pack("<IIQ", 9, 8, 2**62)
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key + array + bytes(64))
    with pytest.raises(UnreadableHeaderError, match="damaged"):
        read_header(file)
