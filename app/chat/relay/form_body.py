"""Parses forms with a file (multipart/form-data), and writes them for the model server."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.chat.openai.errors import ApiError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_PARTS = 64
LONGEST_FIELD_BYTES = 64 * 1024
LONGEST_NAME = 64
LONGEST_FILE_NAME = 128
_MOST_HEADERS = 8
_LONGEST_HEADER_BYTES = 1024
# Bytes parsed at once; other requests have their turn in between.
_SLICE_BYTES = 64 * 1024
_FILE_TYPE = re.compile(r"[A-Za-z0-9.+-]{1,64}/[A-Za-z0-9.+-]{1,64}")
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]+")


@dataclass(frozen=True)
class FormFile:
    """One file of a form."""

    name: str
    type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Form:
    """The texts and files of a form, by the names of their fields.

    :param texts: a field that ends with `[]` may be there several times.
    """

    texts: Mapping[str, list[str]] = field(repr=False)
    files: Mapping[str, FormFile] = field(repr=False)

    def only_file(self, name: str) -> FormFile:
        """The file of this field; raises ApiError 400 without it, and for another file."""
        for other in self.files:
            if other != name:
                raise _problem(other, f"is a file; only '{name}' may be one")
        if (file := self.files.get(name)) is None:
            raise _problem(name, "is missing; send it as a file, with a file name")
        if not file.content:
            raise _problem(name, "must not be empty")
        return file


async def parse_form(content_type: str, body: bytes) -> Form:
    """The form in a body; raises ApiError 400."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise _invalid("the content type must be multipart/form-data with a boundary")
    reader = _Reader()
    try:
        parser = MultipartParser(
            boundary,
            reader.callbacks(),
            max_header_count=_MOST_HEADERS,
            max_header_size=_LONGEST_HEADER_BYTES,
        )
        for start in range(0, len(body), _SLICE_BYTES):
            parser.write(body[start : start + _SLICE_BYTES])
            await asyncio.sleep(0)
        parser.finalize()
    except FormParserError as error:
        raise _invalid(str(error)[:200]) from None
    if not reader.ended:
        raise _invalid("its last boundary is missing")
    return reader.form()


class _Reader:
    """Collects the parts of a form from the parser's callbacks."""

    def __init__(self) -> None:
        self.ended = False
        self._texts: dict[str, list[str]] = {}
        self._files: dict[str, FormFile] = {}
        self._parts = 0
        self._start_part()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._start_part,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def form(self) -> Form:
        return Form(self._texts, self._files)

    def _start_part(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._header_name, self._header_value = bytearray(), bytearray()
        self._content = bytearray()
        self._name = ""
        self._file: tuple[str, str] | None = None

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise _invalid(f"it has more than {MOST_PARTS} parts")
        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"name", b"").decode(errors="replace")
        if kind != b"form-data" or not _FIELD_NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            raise _invalid(
                "each part needs a Content-Disposition of form-data with a name of 1 to "
                f"{LONGEST_NAME} letters, digits, '_', '-', '.', '[' or ']'"
            )
        encoding = self._headers.get(b"content-transfer-encoding", b"binary").lower()
        if encoding not in (b"binary", b"8bit", b"7bit"):
            raise _invalid(f"the part '{name}' has a Content-Transfer-Encoding")
        self._name = name
        if b"filename" in options:
            type_ = self._headers.get(b"content-type", b"").decode(errors="replace")
            self._file = (options[b"filename"].decode(errors="replace"), type_)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]
        if self._file is None and len(self._content) > LONGEST_FIELD_BYTES:
            raise _problem(self._name, f"has more than {LONGEST_FIELD_BYTES} bytes")

    def _end_part(self) -> None:
        name = self._name
        taken = name in self._files or (name in self._texts and not name.endswith("[]"))
        if taken:
            raise _problem(name, "is there twice")
        if self._file is not None:
            file_name, type_ = self._file
            self._files[name] = FormFile(
                _plain(file_name),
                type_ if _FILE_TYPE.fullmatch(type_) else "application/octet-stream",
                bytes(self._content),
            )
        else:
            try:
                text = self._content.decode()
            except UnicodeDecodeError:
                raise _problem(name, "is not UTF-8") from None
            self._texts.setdefault(name, []).append(text)
        self._content = bytearray()

    def _end(self) -> None:
        self.ended = True


def write_form(
    texts: Iterable[tuple[str, str]], files: Mapping[str, FormFile]
) -> tuple[str, bytes]:
    """The content type and the body of a form."""
    # Random, so that no client can write it into a field.
    boundary = secrets.token_hex(24)
    pieces: list[bytes] = []
    for name, text in texts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        pieces += (head.encode(), text.encode(), b"\r\n")
    for name, file in files.items():
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; '
            f'filename="{file.name}"\r\nContent-Type: {file.type}\r\n\r\n'
        )
        pieces += (head.encode(), file.content, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


def _plain(name: str) -> str:
    """A file name that needs no quoting; servers need its ending only."""
    return _UNUSUAL.sub("_", name)[-LONGEST_FILE_NAME:] or "file"


def _invalid(reason: str) -> ApiError:
    return ApiError(400, f"the body is not a valid form: {reason}", code="invalid_form")


def _problem(name: str, problem: str) -> ApiError:
    return ApiError(400, f"'{name}': {problem}", code="invalid_request", param=name)
