"""Small GGUF files with the header of a model, and no tensors."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

_UINT32, _FLOAT32, _BOOL, _STRING, _ARRAY, _UINT64 = 4, 6, 7, 8, 9, 10

HeaderValue = str | bool | int | float | Sequence[str] | Sequence[bool] | Sequence[int]


def write_gguf(file: Path, values: Mapping[str, HeaderValue], version: int = 3) -> Path:
    """Write a file with this metadata."""
    pairs = b"".join(_string(key) + _typed(value) for key, value in values.items())
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", version, 0, len(values)) + pairs)
    return file


def _typed(value: HeaderValue) -> bytes:
    kind = _kind(value)
    if kind != _ARRAY:
        return struct.pack("<I", kind) + _bytes(value)
    assert isinstance(value, Sequence)
    kind = _kind(value[0])
    items = b"".join(_bytes(item) for item in value)
    return struct.pack("<IIQ", _ARRAY, kind, len(value)) + items


def _kind(value: HeaderValue) -> int:
    if isinstance(value, bool):
        return _BOOL
    if isinstance(value, str):
        return _STRING
    if isinstance(value, float):
        return _FLOAT32
    if isinstance(value, int):
        return _UINT32 if value < 2**32 else _UINT64
    return _ARRAY


def _bytes(value: HeaderValue) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<?", value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float):
        return struct.pack("<f", value)
    assert isinstance(value, int)
    return struct.pack("<I" if value < 2**32 else "<Q", value)


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()
