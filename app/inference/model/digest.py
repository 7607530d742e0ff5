"""SHA-256 of model files, recorded so that a start does not read gigabytes again."""

import hashlib
import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from app.shared.json_log import Log

log = Log(__name__)


class DigestRecord(BaseModel):
    """The digest of a file, valid as long as its size and modification time do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    sha256: str
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, file: Path, sha256: str) -> Self:
        found = file.stat()
        return cls(
            file=str(file),
            sha256=sha256,
            size_bytes=found.st_size,
            modified_ns=found.st_mtime_ns,
        )


def sha256_of(file: Path) -> str:
    """Read the whole file; returns lower-case hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def recorded_sha256(file: Path, record: Path) -> str:
    """The digest of `file`: from `record` if that is valid, otherwise computed and recorded."""
    known = _read(record)
    if known is not None and known == DigestRecord.of(file, known.sha256):
        return known.sha256
    log.info("computing SHA-256", file=str(file), size_bytes=file.stat().st_size)
    found = sha256_of(file)
    write_record(file, found, record)
    return found


def write_record(file: Path, sha256: str, record: Path) -> None:
    """Write the record atomically. If that fails, the next start computes the digest again."""
    draft = record.with_name(f"{record.name}.{os.getpid()}.new")
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(DigestRecord.of(file, sha256).model_dump_json())
        os.replace(draft, record)
    except OSError as error:
        log.warning(
            "the digest cannot be recorded; the next start computes it again",
            record=str(record),
            reason=str(error),
        )


def _read(record: Path) -> DigestRecord | None:
    try:
        return DigestRecord.model_validate_json(record.read_bytes())
    except (OSError, ValidationError):
        return None
