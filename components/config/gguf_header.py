"""Reads the metadata at the start of a GGUF file: what llama-server makes its plan of memory of."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"GGUF"
READABLE_VERSIONS = (2, 3)
# Longer arrays are the vocabulary: only their length counts.
LONGEST_ARRAY = 4096
# A damaged file must not keep the program busy.
MOST_VALUES = 10_000

_STRING, _ARRAY = 8, 9
# By the number of a type in the file: how struct reads it.
_NUMBERS = {
    **{0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?"},
    **{10: "<Q", 11: "<q", 12: "<d"},
}


class UnreadableHeaderError(Exception):
    """The file is not GGUF, or it is damaged."""


@dataclass(frozen=True)
class Omitted:
    """An array that was not read."""

    length: int


Value = str | int | float | bool | tuple[int | float | bool, ...] | Omitted


def read_header(file: Path) -> Mapping[str, Value]:
    """The metadata of a file by its keys, such as `general.architecture`.

    Raises `UnreadableHeaderError`, and `OSError` if the file cannot be read.
    """
    with file.open("rb") as stream:
        if stream.read(4) != MAGIC:
            raise UnreadableHeaderError(f"{file} is not a GGUF file")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _Reader(content).metadata()
            except (struct.error, UnicodeDecodeError, KeyError, IndexError) as error:
                raise UnreadableHeaderError(f"the header of {file} is damaged") from error


class _Reader:
    """Reads values one after another."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._at = len(MAGIC)

    def metadata(self) -> dict[str, Value]:
        if self._number("<I") not in READABLE_VERSIONS:
            raise UnreadableHeaderError("llama-server does not read this version of GGUF")
        self._number("<Q")  # tensors
        count = int(self._number("<Q"))
        if count > MOST_VALUES:
            raise IndexError(count)
        values: dict[str, Value] = {}
        for _ in range(count):
            key = self._string()
            values[key] = self._value(int(self._number("<I")))
        return values

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array()
        return self._number(_NUMBERS[kind])

    def _array(self) -> Value:
        kind, length = int(self._number("<I")), int(self._number("<Q"))
        if kind == _STRING:
            for _ in range(length):
                self._skip(int(self._number("<Q")))
            return Omitted(length)
        form = _NUMBERS[kind]
        if length > LONGEST_ARRAY:
            self._skip(length * struct.calcsize(form))
            return Omitted(length)
        return tuple(self._number(form) for _ in range(length))

    def _string(self) -> str:
        length = int(self._number("<Q"))
        start = self._at
        self._skip(length)
        return self._content[start : self._at].decode()

    def _skip(self, length: int) -> None:
        self._at += length
        if self._at > len(self._content):
            raise IndexError(self._at)

    def _number(self, form: str) -> int | float | bool:
        (value,) = struct.unpack_from(form, self._content, self._at)
        self._at += struct.calcsize(form)
        return value  # type: ignore[no-any-return]  # the form decides
