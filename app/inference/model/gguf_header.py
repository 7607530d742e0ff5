"""Checks the header of a model file: is it GGUF, in a version that llama.cpp reads?

The header is four bytes `GGUF` and a 32-bit version, in the byte order of the machine
(little-endian on every processor that this image is built for).
"""

import struct
from pathlib import Path

from app.inference.failure import ExitCode, StartupError

MAGIC = b"GGUF"
READABLE_VERSIONS = (2, 3)
"""llama.cpp does not read version 1 any more."""


def check_gguf(file: Path) -> None:
    """Check the file before llama-server loads it; raises StartupError."""
    with file.open("rb") as stream:
        header = stream.read(8)
    if len(header) < 8 or header[:4] != MAGIC:
        raise StartupError(
            ExitCode.NOT_A_MODEL,
            f"{file} is not a GGUF file: it begins with {header[:4]!r}, not {MAGIC!r}",
            what_to_do="choose a .gguf file, or convert the model with llama.cpp",
        )
    (version,) = struct.unpack("<I", header[4:])
    if version not in READABLE_VERSIONS:
        raise StartupError(
            ExitCode.NOT_A_MODEL,
            f"{file} is GGUF version {version}; llama-server reads {READABLE_VERSIONS}",
            what_to_do="choose a newer conversion of the model",
        )
