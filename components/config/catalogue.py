"""The catalogue: every model and service that a stack can run, as `services.yaml` lists them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    TypeAdapter,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from components.config.schema import SettingsError, StrictModel, choices, load_yaml

MEBIBYTE = 1024**2
# Docker refuses a container limit below 6 MiB; no service of ours starts in less than this.
LEAST_MEMORY = 64 * MEBIBYTE
# What the monitor is to ask of a service that knows no question: whether it takes a connection.
TCP = "tcp"
# Where every inference container tells whether it is draining.
STATUS_PORT = 8001
# What llama-server needs beside the weights that it maps: buffers, bookkeeping, itself.
MODEL_OVERHEAD = 256 * MEBIBYTE

MOST_GPUS = 16
# Where an image holds its bundled model.
BUNDLED_DIRECTORY = "/opt/models"


def _parse_memory(value: object) -> int:
    allowed = "allowed: a number with MiB or GiB, such as 512MiB or 4GiB, at least 64MiB"
    try:
        size = int(TypeAdapter(ByteSize).validate_python(value))
    except ValueError:
        raise PydanticCustomError(
            "memory", "is no memory size; {allowed}", {"allowed": allowed}
        ) from None
    if isinstance(value, int | float) or size < LEAST_MEMORY:
        raise PydanticCustomError(
            "memory", "is too small or has no unit; {allowed}", {"allowed": allowed}
        )
    return size


def _name(pattern: str, allowed: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise PydanticCustomError("name", "is no name; {allowed}", {"allowed": allowed})
        return value

    return AfterValidator(check)


def _parse_gpus(value: object) -> str:
    """Docker's own spelling: `all`, or how many."""
    if value == "all" or (type(value) is int and 1 <= value <= MOST_GPUS):
        return str(value)
    raise PydanticCustomError(
        "gpus",
        "is no number of GPUs; {allowed}",
        {"allowed": f"allowed: all, or 1 to {MOST_GPUS}"},
    )


Gpus = Annotated[str, BeforeValidator(_parse_gpus)]
Memory = Annotated[int, BeforeValidator(_parse_memory)]
# A label of DNS, since the service is found under it; Docker refuses names of one letter.
Name = Annotated[
    str,
    _name(
        r"[a-z][a-z0-9-]{0,38}[a-z0-9]",
        "allowed: 2 to 40 of a-z, 0-9 and -, beginning with a letter, not ending in -",
    ),
]
ModelName = Annotated[
    str, _name(r"[a-z0-9][a-z0-9._-]{0,62}", "allowed: 1 to 63 of a-z, 0-9 and . _ -")
]
Port = Annotated[int, Field(ge=1, le=65535)]
HttpStatus = Annotated[int, Field(ge=100, le=599)]
Scalar = str | int | float | bool | None
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Models that an image can hold: the stages model-<name> of docker/inference.Dockerfile. `tiny`
# generates random text, for tests.
BundledModel = Literal["smollm2-135m", "tiny"]
BUNDLED_MODELS: tuple[BundledModel, ...] = get_args(BundledModel)


class Model(StrictModel):
    """Where a GGUF file comes from, and how llama-server runs it.

    Either `repository`, `file` and `revision` (a model hub), `path` (inside the container) or
    `bundled` (the image holds it).
    `sha256_origin` says openly how the digest is known: `downloaded` (computed from the file),
    `published` (others publish it; we have not downloaded the file) or `unknown` (then there is
    none, and the first start logs what it found).
    """

    description: str
    repository: str | None = None
    file: str | None = None
    revision: str | None = None
    path: str | None = None
    bundled: BundledModel | None = None
    sha256: Sha256 | None = None
    sha256_origin: Literal["downloaded", "published", "unknown"] | None = None
    size: int | None = Field(default=None, gt=0, description="of the file, in bytes")
    context: int = Field(ge=128, description="tokens that one conversation can hold")
    slots: int = Field(ge=1, le=64, description="conversations answered at the same time")
    threads: int = Field(default=0, ge=0, le=256, description="0 leaves them to the service")

    @model_validator(mode="after")
    def _one_source(self) -> Model:
        hub = [self.repository, self.file, self.revision]
        whole = [all(hub), self.path is not None, self.bundled is not None]
        if whole.count(True) != 1 or (any(hub) and not all(hub)):
            raise PydanticCustomError(
                "model_source",
                "needs one source; allowed: repository, file and revision together, path alone, "
                "or bundled alone",
            )
        if self.from_hub and (self.sha256 is None) != (self.sha256_origin == "unknown"):
            raise PydanticCustomError(
                "model_digest",
                "needs sha256, or sha256_origin: unknown where there is none, not both",
            )
        if self.sha256 and self.sha256_origin is None:
            raise PydanticCustomError(
                "model_digest", "needs sha256_origin; allowed: downloaded, published"
            )
        return self

    @property
    def from_hub(self) -> bool:
        """Whether a model hub has to be reached for it."""
        return self.repository is not None

    @property
    def container_path(self) -> str | None:
        """Where the file is inside the container before its start; None for one from a hub."""
        return f"{BUNDLED_DIRECTORY}/{self.bundled}.gguf" if self.bundled else self.path


class Expect(StrictModel):
    """Conditions on the answer to the monitor's question, beside that it comes.

    Of a model only its time counts, since what it answers is judged by its work.
    """

    status: tuple[HttpStatus, ...] = Field(default=(200,), min_length=1)
    slower_than: float | None = Field(
        default=None,
        gt=0,
        lt=5,
        description="seconds; longer is told as degraded, and 5 as no answer of a model",
    )
    body_contains: str | None = Field(default=None, min_length=1)
    values: dict[str, Scalar] = Field(
        default_factory=dict,
        alias="json",
        description="by path (`status`, `checks.0.state`): what stands there in the JSON answer",
    )


class Service(StrictModel):
    """What every service has: its limits, and the port it listens on inside the network."""

    description: str
    memory: Memory
    cpus: float = Field(gt=0, le=256, description="processors that it may use at most")
    public: bool = Field(default=False, description="whether a tunnel may lead to it")
    start_timeout: int = Field(ge=1, description="seconds until it must be healthy")
    expect: Expect | None = None


class ChatService(Service):
    """The gateway and its web page."""

    kind: Literal["chat"]
    port: Port = 8080
    start_timeout: int = Field(default=90, ge=1)


class InferenceService(Service):
    """llama-server with one model."""

    kind: Literal["inference"]
    port: Port = 8000
    model: ModelName
    threads: int = Field(default=0, ge=0, le=256, description="0 takes what `cpus` allows")
    gpus: Gpus | None = Field(default=None, description="then the CUDA engine runs it")
    gpu_layers: int | None = Field(
        default=None, ge=0, le=999, description="of the model on the GPU; None for all that fit"
    )
    start_timeout: int = Field(default=1800, ge=1)

    @field_validator("expect")
    @classmethod
    def _only_its_time_counts(cls, expect: Expect | None) -> Expect | None:
        if expect and expect.model_fields_set != {"slower_than"}:
            raise PydanticCustomError("expect", "of a model allowed: slower_than alone")
        return expect

    @field_validator("port")
    @classmethod
    def _is_not_the_status_port(cls, port: int) -> int:
        if port == STATUS_PORT:
            raise PydanticCustomError(
                "port", "is where the container tells its status; allowed: any other port"
            )
        return port

    @model_validator(mode="after")
    def _layers_need_a_gpu(self) -> InferenceService:
        if self.gpu_layers is not None and self.gpus is None:
            raise PydanticCustomError(
                "gpu_layers",
                "gpu_layers: {layers} without a GPU; allowed: with gpus: all, or a number of them",
                {"layers": self.gpu_layers},
            )
        return self


class ContainerService(Service):
    """A program that the stack knows nothing of: a sidecar such as a Redis, or one of your own."""

    kind: Literal["container"]
    image: Name = Field(description="built by docker/<image>.Dockerfile")
    port: Port
    health: str = Field(
        default=TCP,
        pattern=r"^(tcp|/\S*)$",
        description="what the monitor asks: a path by HTTP, or tcp for a connection",
    )
    environment: dict[str, str] = Field(default_factory=dict)
    stop_grace: int = Field(default=10, ge=1, le=600, description="seconds to end after SIGTERM")
    start_timeout: int = Field(default=120, ge=1)

    @model_validator(mode="after")
    def _a_connection_answers_nothing(self) -> ContainerService:
        if self.expect and self.health == TCP:
            raise PydanticCustomError(
                "expect", "expect: nothing is asked of it; allowed: with health: and a path"
            )
        return self


AnyService = Annotated[
    ChatService | InferenceService | ContainerService, Field(discriminator="kind")
]


class Catalog(StrictModel):
    """All models and services by name."""

    models: dict[ModelName, Model]
    services: dict[Name, AnyService]

    def check(self, source: str) -> Catalog:
        """Hold services and models against each other; raises `SettingsError`."""
        problems = [
            f"{source}: services.{name}.model: the catalogue has no such model; "
            f"found {service.model!r}, {choices(service.model, self.models)}"
            for name, service in self.services.items()
            if isinstance(service, InferenceService) and service.model not in self.models
        ]
        if problems:
            raise SettingsError(problems)
        problems = [
            f"{source}: services.{name}.memory: {service.memory // MEBIBYTE}MiB cannot hold model "
            f"{service.model!r}; allowed: at least {needed // MEBIBYTE + 1}MiB"
            for name, service in self.services.items()
            if isinstance(service, InferenceService)
            and (needed := (self.models[service.model].size or 0) + MODEL_OVERHEAD) > service.memory
        ]
        if problems:
            raise SettingsError(problems)
        return self


def load_catalog(path: Path) -> Catalog:
    """Read and check the catalogue; raises `SettingsError`."""
    return load_yaml(Catalog, path).check(path.name)
