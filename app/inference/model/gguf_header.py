"""A first look at a model file: is it GGUF at all?

The header is four bytes `GGUF` and a 32-bit version, in the byte order of the machine that reads
the model (little-endian on every processor that this image is built for).
"""

import struct
from pathlib import Path

from app.inference.failure import ExitCode, Failure

MAGIC = b"GGUF"
READABLE_VERSIONS = (2, 3)
"""llama.cpp has dropped version 1."""


def check_gguf(file: Path) -> None:
    """Raises Failure when llama-server could not read `file`: now, not after a long load."""
    with file.open("rb") as stream:
        header = stream.read(8)
    if len(header) < 8 or header[:4] != MAGIC:
        raise Failure(
            ExitCode.NOT_A_MODEL,
            f"{file} is not a GGUF file: it begins with {header[:4]!r}, not {MAGIC!r}",
            what_to_do="choose a .gguf file; other formats must be converted with llama.cpp first",
        )
    (version,) = struct.unpack("<I", header[4:])
    if version not in READABLE_VERSIONS:
        raise Failure(
            ExitCode.NOT_A_MODEL,
            f"{file} is GGUF version {version}; llama-server reads {READABLE_VERSIONS}",
            what_to_do="choose a newer conversion of the model",
        )
