"""Files of a model: the parts of a split GGUF, a projector, adapters, a draft model."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.config.field_types import Sha256
from components.config.problems import Key, Problem, Source
from components.config.schema import StrictModel, refusal

# llama.cpp's names of the parts of one model; it loads the first, and finds the others beside it.
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
# Both separate values of --lora-scaled.
_SEPARATORS = ",:"
_ORIGINS = "sha256_origin: unknown where there is no digest"


def _gguf_path(value: str) -> str:
    if not value.endswith(".gguf") or value.startswith("/") or ".." in value.split("/"):
        raise refusal(
            "is not a GGUF file of a repository", allowed="a path that ends in .gguf, without .."
        )
    return value


def _absolute_path(value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/"):
        raise refusal("is not a path in the container", allowed="a path that begins with /")
    return value


HubFile = Annotated[str, AfterValidator(_gguf_path)]
LocalPath = Annotated[str, AfterValidator(_absolute_path)]
DigestOrigin = Literal["downloaded", "published", "unknown"]


class SplitPart(StrictModel):
    """One part of a split GGUF, in the model's repository and revision."""

    file: HubFile
    sha256: Sha256 | None = None
    size: int | None = Field(default=None, gt=0, description="in bytes")


class ExtraFile(StrictModel):
    """A file that llama-server loads beside the model: from a model hub, or in the container.

    Without `repository` and `revision` it is in those of the model.
    """

    file: HubFile | None = None
    repository: str | None = None
    revision: str | None = None
    path: LocalPath | None = Field(default=None, description="inside the container")
    sha256: Sha256 | None = None
    sha256_origin: DigestOrigin | None = None
    size: int | None = Field(default=None, gt=0, description="in bytes")


class AdapterFile(ExtraFile):
    """A LoRA adapter, and how much it changes the model."""

    scale: float = Field(default=1.0, ge=-100, le=100)


def part_number(file: str) -> tuple[str, int, int] | None:
    """What precedes the number, the number, and how many parts there are; None for a whole file."""
    match = _PART.fullmatch(file)
    if match is None or int(match["count"]) < 2:
        return None
    return match["stem"], int(match["number"]), int(match["count"])


def part_names(file: str) -> list[str]:
    """The names of all parts, of which `file` is one; its own for a whole file."""
    part = part_number(file)
    if part is None:
        return [file]
    stem, _, count = part
    return [f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


def lone_part_problem(file: str | None, key: Key, source: Source) -> Iterator[Problem]:
    """A model of which `file:` names one part only."""
    if file is None or part_number(file) is None:
        return
    names = [posixpath.basename(name) for name in part_names(file)]
    yield source.problem(
        key,
        f"is one part of a split GGUF with {len(names)} parts",
        found=file,
        allowed="allowed: files, a list with file, sha256 and size of every part: "
        + ", ".join(names if len(names) < 4 else (*names[:2], "…", names[-1])),
    )


def split_problems(
    parts: Sequence[SplitPart], unknown_digests: bool, key: Key, source: Source
) -> Iterator[Problem]:
    """What is wrong with the parts of a split GGUF.

    :param unknown_digests: whether the model says that nobody has published them.
    """
    expected = part_names(parts[0].file)
    for at, part in enumerate(parts):
        if part_number(part.file) is None:
            yield source.problem(
                (*key, at, "file"),
                "is not a part of a split GGUF",
                found=part.file,
                allowed="allowed: names that end in -00001-of-0000N.gguf, or file: for one file",
            )
        elif part.file not in expected:
            yield source.problem(
                (*key, at, "file"),
                "is a part of another split GGUF than the first one",
                found=part.file,
                allowed=f"allowed: {expected[0]} to {posixpath.basename(expected[-1])}",
            )
        elif part.file in [other.file for other in parts[:at]]:
            yield source.problem((*key, at, "file"), "is listed twice", found=part.file)
        if part.sha256 is None and not unknown_digests:
            yield source.problem((*key, at, "sha256"), "is missing", allowed=f"allowed: {_ORIGINS}")
    missing = [name for name in expected if name not in [part.file for part in parts]]
    if part_number(parts[0].file) and missing:
        yield source.problem(
            key,
            f"lacks {len(missing)} of {len(expected)} parts: {', '.join(missing)}",
            allowed="allowed: every part",
        )


def extra_file_problems(
    extra: ExtraFile, on_hub: bool, key: Key, source: Source
) -> Iterator[Problem]:
    """What is wrong with a projector, an adapter or a draft model.

    :param on_hub: whether the model has a repository and a revision; they are the file's defaults.
    """
    if (extra.file is None) == (extra.path is None):
        yield source.problem(
            key, "does not have one source", allowed="allowed: file of a repository, or path alone"
        )
        return
    name = extra.file or extra.path or ""
    if part_number(name):
        yield source.problem(
            (*key, "file" if extra.file else "path"),
            "is one part of a split GGUF",
            found=name,
            allowed="allowed: a whole file; only the model itself can have several",
        )
    if extra.file is None:
        if extra.repository is not None or extra.revision is not None:
            yield source.problem(key, "has a path and a repository", allowed="allowed: one of both")
        return
    if (extra.repository is None) != (extra.revision is None):
        yield source.problem(
            key,
            "has only one of repository and revision",
            allowed="allowed: both, or neither for those of the model",
        )
    elif extra.repository is None and not on_hub:
        yield source.problem(
            key, "has no repository", allowed="allowed: repository and revision, or path"
        )
    if (extra.sha256 is None) != (extra.sha256_origin == "unknown"):
        yield source.problem(
            key, "has no check of its content", allowed=f"allowed: sha256, or {_ORIGINS}, not both"
        )


def adapter_problems(
    adapters: Sequence[AdapterFile], on_hub: bool, key: Key, source: Source
) -> Iterator[Problem]:
    """What is wrong with LoRA adapters."""
    for at, adapter in enumerate(adapters):
        yield from extra_file_problems(adapter, on_hub, (*key, at), source)
        name = adapter.file or adapter.path or ""
        if any(one in name for one in _SEPARATORS):
            yield source.problem(
                (*key, at, "file" if adapter.file else "path"),
                "has a character that separates adapters in llama-server's option",
                found=name,
                allowed="allowed: a name without , and :",
            )
