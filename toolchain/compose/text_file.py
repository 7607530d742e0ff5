"""Reads text files that a user gives, in UTF-8 or UTF-16, of limited size."""

from __future__ import annotations

import codecs
from pathlib import Path

from toolchain.compose.problems import ComposeError, Place, problem

LARGEST = 4 * 1024**2
_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def read_text(path: Path, shown: str) -> str:
    """The content of a file, with `\\n` at the end of lines; raises `ComposeError`.

    :param shown: the file's name in problems.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        reason = error.strerror or "an unknown error"
        raise ComposeError([problem(Place(shown), "", f"cannot be read: {reason}")]) from None
    if len(data) > LARGEST:
        text = f"is larger than {LARGEST // 1024**2} MiB"
        raise ComposeError([problem(Place(shown), "", text)])
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ComposeError(
            [
                problem(
                    Place(shown, line),
                    "",
                    f"is not text in {encoding.removesuffix('-sig').upper()}",
                    allowed="UTF-8, or UTF-16 with a byte order mark",
                )
            ]
        ) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n")
