"""A model of the catalogue: where its files come from, and how llama-server runs it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from components.config import llama_options
from components.config.field_types import Scalar, Sha256
from components.config.model_files import (
    AdapterFile,
    DigestOrigin,
    ExtraFile,
    HubFile,
    LocalPath,
    SplitPart,
    adapter_problems,
    extra_file_problems,
    lone_part_problem,
    part_names,
    part_number,
    split_problems,
)
from components.config.model_numbers import ModelNumbers
from components.config.problems import Key, Problem, Source
from components.config.schema import StrictModel, refusal

# Where an image holds its bundled model.
BUNDLED_DIRECTORY = "/opt/models"
# Models that an image can hold: the stages model-<name> of docker/inference.Dockerfile. `tiny`
# generates random text, for tests.
BundledModel = Literal["smollm2-135m", "tiny"]
BUNDLED_MODELS: tuple[BundledModel, ...] = get_args(BundledModel)

Task = Literal["chat", "embedding", "rerank"]
Pooling = Literal["none", "mean", "cls", "last", "rank"]
CacheType = Literal["f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
# llama-server exits if the cache has another type and flash attention is off.
_WHOLE_CACHE_TYPES = ("f16", "bf16", "f32")
# A Swarm's config holds 500 KB at most.
_MOST_TEMPLATE_BYTES = 500_000
# What llama-server does only while it generates text.
_CHAT_KEYS = ("projector", "draft", "chat_template", "reasoning")


class ReasoningBudget(StrictModel):
    """A limit of the tokens that a model reasons with."""

    budget: int = Field(ge=0, le=1_000_000, description="in tokens; 0 ends the reasoning at once")


def _switch(value: Any) -> Any:
    """YAML reads on and off as true and false."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _project_file(value: str) -> str:
    """The path of a text file of the project, without `./`."""
    path = posixpath.normpath(value)
    allowed = "./ and the path of a text file of the project, such as ./catalog/templates/x.jinja"
    if not value.startswith("./") or path.startswith(".."):
        raise refusal("is not a path of the project", allowed=allowed)
    file = Path(path)
    if not file.is_file():
        raise refusal("does not exist", allowed=allowed)
    if not file.resolve().is_relative_to(Path().resolve()):
        raise refusal("leads out of the project", allowed=allowed)
    if file.stat().st_size > _MOST_TEMPLATE_BYTES:
        raise refusal("is too large", allowed=f"at most {_MOST_TEMPLATE_BYTES // 1000} KB")
    try:
        file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise refusal("is not UTF-8 text", allowed=allowed) from None
    return path


_Switch = Literal["auto", "on", "off"]
_SWITCH_SCHEMA: dict[str, Any] = {"enum": ["auto", "on", "off", True, False]}
Switch = Annotated[_Switch, BeforeValidator(_switch), WithJsonSchema(_SWITCH_SCHEMA)]
Reasoning = Annotated[
    _Switch | ReasoningBudget,
    BeforeValidator(_switch),
    WithJsonSchema({"anyOf": [_SWITCH_SCHEMA, ReasoningBudget.model_json_schema()]}),
]
ProjectFilePath = Annotated[
    str, AfterValidator(_project_file), WithJsonSchema({"type": "string", "pattern": r"^\./.+"})
]


class Model(StrictModel):
    """Where the files of a model come from, and how llama-server runs it.

    Either `repository`, `revision` and `file` or `files` (a model hub), `path` (inside the
    container) or `bundled` (the image holds it).
    `sha256_origin` is how we got the digest: `downloaded` (computed from the file),
    `published` (others publish it; we have not downloaded the file) or `unknown` (then there is
    none, and the first start logs the digest). With `files` it is that of all their digests.
    """

    description: str
    repository: str | None = None
    file: HubFile | None = None
    files: tuple[SplitPart, ...] = Field(default=(), description="a split GGUF: every part")
    revision: str | None = None
    path: LocalPath | None = None
    bundled: BundledModel | None = None
    sha256: Sha256 | None = None
    sha256_origin: DigestOrigin | None = None
    size: int | None = Field(default=None, gt=0, description="of the file, in bytes")
    context: int = Field(ge=128, description="tokens that one conversation can hold")
    slots: int = Field(ge=1, le=64, description="conversations answered at the same time")
    threads: int = Field(default=0, ge=0, le=256, description="0 leaves them to the service")
    task: Task = Field(default="chat", description="what the gateway offers it for")
    pooling: Pooling | None = Field(
        default=None,
        description="how an embedding is made of those of its tokens; by default as the model "
        "names it. The gateway's /v1/embeddings needs another one than none",
    )
    projector: ExtraFile | None = Field(
        default=None, description="the mmproj file, for images and audio in messages"
    )
    adapters: tuple[AdapterFile, ...] = Field(default=(), max_length=16, description="LoRA")
    draft: ExtraFile | None = Field(
        default=None,
        description="a small model whose tokens the model only checks: speculative decoding",
    )
    chat_template: ProjectFilePath | None = Field(
        default=None, description="a Jinja file of the project, in place of the model's own"
    )
    reasoning: Reasoning | None = Field(
        default=None, description="auto (as the template has it), on, off, or a budget in tokens"
    )
    cache_type: CacheType | None = Field(
        default=None, description="of the numbers in the KV cache; f16 by default"
    )
    flash_attention: Switch | None = None
    idle_sleep: int | None = Field(
        default=None,
        ge=1,
        le=604_800,
        description="seconds without a request after which llama-server gives its memory back, "
        "until the next one",
    )
    options: dict[str, Scalar] = Field(
        default_factory=dict, description="more options of llama-server, by their long names"
    )

    numbers: ModelNumbers | None = Field(
        default=None, description="for the memory estimate, where this machine has no file to read"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Model:
        hub = [self.repository, self.file or self.files, self.revision]
        whole = [all(hub), self.path is not None, self.bundled is not None]
        if whole.count(True) != 1 or (any(hub) and not all(hub)) or (self.file and self.files):
            raise refusal(
                "does not have one source",
                allowed="repository, file (or files) and revision together, path alone, "
                "or bundled alone",
            )
        if self.files:
            return self._digests_of_parts()
        if self.repository and (self.sha256 is None) != (self.sha256_origin == "unknown"):
            raise refusal(
                "has no check of its content",
                allowed="sha256, or sha256_origin: unknown where there is none, not both",
            )
        return self._origin_of_digest(self.sha256 is not None)

    def _digests_of_parts(self) -> Model:
        if self.sha256 or self.size:
            raise refusal(
                "has sha256 or size beside files", allowed="sha256 and size of each part in files"
            )
        return self._origin_of_digest(any(part.sha256 for part in self.files))

    def _origin_of_digest(self, has_one: bool) -> Model:
        if has_one and self.sha256_origin is None:
            raise refusal(
                "does not have sha256_origin", allowed="sha256_origin: downloaded or published"
            )
        return self

    @property
    def from_hub(self) -> bool:
        """Whether a model hub has to be reached for one of its files."""
        return self.repository is not None or any(extra.file for extra in self.extra_files)

    @property
    def container_path(self) -> str | None:
        """Where the file is inside the container before its start; None for one from a hub."""
        return f"{BUNDLED_DIRECTORY}/{self.bundled}.gguf" if self.bundled else self.path

    @property
    def extra_files(self) -> list[ExtraFile]:
        """What llama-server loads beside the model."""
        single = [one for one in (self.projector, self.draft) if one]
        return [*single, *self.adapters]

    @property
    def known_size(self) -> int:
        """Of all files whose size is in the catalogue, in bytes."""
        parts = [part.size for part in self.files]
        extra = [one.size for one in self.extra_files]
        return sum(size or 0 for size in (self.size, *parts, *extra))

    def for_placeholder(self, named: Model) -> Model:
        """This model, for the task of another one in whose place it is loaded."""
        return self.model_copy(
            update={
                "task": named.task,
                "pooling": named.pooling,
                "idle_sleep": named.idle_sleep,
            }
        )

    def problems(self, key: Key, source: Source) -> Iterator[Problem]:
        """What does not fit together, each with the line of its key.

        :param key: of this model.
        """
        yield from self._file_problems(key, source)
        yield from self._task_problems(key, source)
        if self.flash_attention == "off" and self.cache_type not in (None, *_WHOLE_CACHE_TYPES):
            yield source.problem(
                (*key, "cache_type"),
                "needs flash attention, which is off",
                found=self.cache_type,
                allowed=f"allowed: {', '.join(_WHOLE_CACHE_TYPES)}, or flash_attention: auto",
            )
        for one in llama_options.problems(self.options):
            yield source.problem(
                (*key, "options", one.option),
                one.text,
                found=self.options[one.option],
                allowed=f"allowed: {one.allowed}" if one.allowed else None,
            )

    def _file_problems(self, key: Key, source: Source) -> Iterator[Problem]:
        yield from lone_part_problem(self.file, (*key, "file"), source)
        if self.files:
            unknown = self.sha256_origin == "unknown"
            yield from split_problems(self.files, unknown, (*key, "files"), source)
        part = part_number(self.path or "")
        if part and part[1] != 1:
            yield source.problem(
                (*key, "path"),
                "is not the first part of a split GGUF",
                found=self.path,
                allowed=f"allowed: {part_names(self.path or '')[0]}",
            )
        on_hub = self.repository is not None
        for name, extra in (("projector", self.projector), ("draft", self.draft)):
            if extra:
                yield from extra_file_problems(extra, on_hub, (*key, name), source)
        yield from adapter_problems(self.adapters, on_hub, (*key, "adapters"), source)

    def _task_problems(self, key: Key, source: Source) -> Iterator[Problem]:
        """Keys that have no effect, or a wrong one, with this task."""
        if self.task != "chat":
            for name in _CHAT_KEYS:
                if getattr(self, name) is not None:
                    yield source.problem(
                        (*key, name),
                        f"has no effect with task: {self.task}",
                        allowed=f"allowed: task: chat, or no {name}",
                    )
        allowed = _POOLING[self.task]
        if self.pooling is not None and self.pooling not in allowed:
            reason = (
                "is for embedding and rerank only"
                if self.task == "chat"
                else f"does not fit task: {self.task}"
            )
            choices = ", ".join(allowed) or "no pooling, or task: embedding"
            hint = "; rank with task: rerank" if self.task == "embedding" else ""
            yield source.problem(
                (*key, "pooling"),
                reason,
                found=self.pooling,
                allowed=f"allowed: {choices}{hint}",
            )


# By task: the poolings that llama-server gives its response with.
_POOLING: Mapping[Task, tuple[Pooling, ...]] = {
    "chat": (),
    "embedding": ("none", "mean", "cls", "last"),
    "rerank": ("rank",),
}
