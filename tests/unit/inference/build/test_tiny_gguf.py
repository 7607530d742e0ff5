"""The file of the tiny model: small, reproducible, with a vocabulary of readable words."""

import hashlib
from pathlib import Path

import gguf
import pytest

from app.inference.build.tiny_gguf import FOLLOWERS, WORDS, vocabulary, write_tiny_gguf
from app.inference.model.gguf_header import check_gguf


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    write_tiny_gguf(file)
    return file


def test_it_is_a_small_gguf_file(tiny: Path) -> None:
    check_gguf(tiny)
    assert tiny.stat().st_size < 500_000


def test_the_same_bytes_are_written_every_time(tiny: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.gguf"
    write_tiny_gguf(again)
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(tiny.read_bytes()).digest()


def test_it_describes_a_llama_with_a_chat_template(tiny: Path) -> None:
    fields = gguf.GGUFReader(tiny).fields
    assert fields["general.architecture"].contents() == "llama"
    assert fields["llama.block_count"].contents() == 2
    assert "<|assistant|>" in fields["tokenizer.chat_template"].contents()


def test_its_vocabulary_has_unique_tokens_and_every_byte() -> None:
    texts = [token.text for token in vocabulary()]
    assert len(texts) == len(set(texts))
    assert {f"<0x{value:02X}>" for value in range(256)} <= set(texts)


def test_every_sentence_ends() -> None:
    reachable = {"ELSE"}
    while more := {next for kind in reachable for next in FOLLOWERS[kind]} - reachable:
        reachable |= more
    assert reachable == set(WORDS), "every kind of word is reachable, including the end"
    assert all(sum(shares.values()) == pytest.approx(1) for shares in FOLLOWERS.values())
