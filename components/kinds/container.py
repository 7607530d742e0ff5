"""Kind `container`: any other program, of a published image or of a Dockerfile of the project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from components.config.compose.dependencies import Dependencies
from components.config.compose.health_check import HealthCheckSettings
from components.config.compose.image_reference import ImageReference
from components.config.compose.machine import (
    IMAGE_USER,
    Capability,
    DeviceEntry,
    Group,
    Ulimit,
    User,
    numeric_user,
)
from components.config.compose.ports import PortMapping
from components.config.compose.quantities import Size
from components.config.compose.volumes import (
    HostPath,
    NamedVolume,
    RepositoryFiles,
    TmpfsList,
    VolumeEntry,
)
from components.config.compose.words import Hosts, Variables, Words
from components.config.field_types import GIBIBYTE, MEBIBYTE, Cpus, Form, Gpus, Memory, Name, Port
from components.config.model import Model
from components.config.named_secrets import SecretFiles, SecretTexts, looks_secret
from components.config.network_access import with_proxy
from components.config.problems import Key, Problem, Source, choices
from components.config.schema import refusal
from components.config.serves import Serves
from components.images.image_sources import image_names
from components.kinds.project_files import paths_of, project_file_problems, project_files
from components.kinds.refused_keys import REFUSED_KEYS
from components.kinds.service import LocalService, ServedApi, Stack
from components.kinds.workload import Workload
from components.runtime.container import TCP
from components.runtime.container_options import (
    TEMPORARY,
    TEMPORARY_FILES,
    USER,
    ContainerOptions,
    HealthCheck,
    TemporaryFiles,
)

NONE = "none"
JOB = "no"
# Users that are root, or may be.
_ROOT = ("root", "0", IMAGE_USER)
OWN_LABELS = "llm-stack."


def _restart(value: Any) -> Any:
    """YAML reads `no` without quotes as false."""
    return JOB if value is False else value


def _alias(value: str) -> str:
    if not value.replace(".", "").replace("-", "").replace("_", "").isalnum():
        raise refusal("is not a valid host name", allowed="letters, digits, and . - _")
    return value


class ContainerService(LocalService):
    """A container; keys and forms are those of the Compose Specification."""

    refused_keys: ClassVar[Mapping[str, tuple[str, str]]] = REFUSED_KEYS

    kind: Literal["container"] = "container"
    description: str = ""
    memory: Memory = Field(
        default=GIBIBYTE, description="without it, llm-stack:defaults.memory counts"
    )
    cpus: Cpus = Field(default=1, description="without it, llm-stack:defaults.cpus counts")
    port: Port | None = Field(default=None, description="that it listens on, if any")
    image: ImageReference | None = Field(
        default=None, description="a published image, such as docker.io/library/redis:7"
    )
    build: Name | None = Field(
        default=None, description="an image that docker/<build>.Dockerfile builds"
    )
    command: Words = ()
    entrypoint: Words = ()
    working_dir: (
        Annotated[str, Form(r"/.*", "an absolute path", "a path that begins with /")] | None
    ) = None
    environment: Variables = Field(default_factory=dict, description="what is not secret")
    secrets: SecretFiles = Field(
        default_factory=dict, description="files: under /run/secrets, or by name their path"
    )
    secret_environment: SecretTexts = Field(
        default_factory=dict,
        description="texts with ${NAME} for secrets, which `docker inspect` shows",
    )
    volumes: tuple[VolumeEntry, ...] = ()
    tmpfs: TmpfsList = ()
    shm_size: Size | None = None
    ports: tuple[PortMapping, ...] = Field(
        default=(), description="of the machine: on 127.0.0.1 unless an address is written"
    )
    healthcheck: HealthCheckSettings | None = Field(
        default=None, description="instead of the image's own"
    )
    health: (
        Annotated[
            str,
            Form(r"(tcp|none|/\S*)", "a valid health check", "a path such as /health, tcp, none"),
        ]
        | None
    ) = Field(
        default=None,
        description="what the monitor asks: a path by HTTP, tcp for a connection, or none",
    )
    depends_on: Dependencies = Field(default_factory=dict)
    restart: Annotated[
        Literal["no", "unless-stopped", "always", "on-failure"], BeforeValidator(_restart)
    ] = Field(default="unless-stopped", description='"no" for a job, which ends with exit code 0')
    gpus: Gpus | None = None
    devices: tuple[DeviceEntry, ...] = ()
    group_add: tuple[Group, ...] = ()
    user: User = Field(default=USER, description="uid:gid, or image for the image's own")
    read_only: bool = Field(default=True, description="whether the root file system is")
    cap_add: tuple[Capability, ...] = ()
    extra_hosts: Hosts = Field(default_factory=dict)
    ulimits: dict[str, Ulimit] = Field(default_factory=dict)
    labels: Variables = Field(default_factory=dict)
    init: bool = True
    serves: Serves | None = Field(
        default=None, description="an OpenAI-compatible API, which the gateway offers"
    )
    aliases: tuple[Annotated[str, AfterValidator(_alias)], ...] = Field(
        default=(), description="further names on the network"
    )
    stop_grace: int = Field(default=10, ge=1, le=600, description="seconds to end after SIGTERM")
    start_timeout: int = Field(
        default=120, ge=1, description="seconds until it must be healthy, or a job has ended"
    )

    @field_validator("environment")
    @classmethod
    def _no_secrets(cls, environment: dict[str, str]) -> dict[str, str]:
        for name, value in environment.items():
            if looks_secret(name, value):
                raise refusal(
                    f"has {name}, which looks like a secret",
                    allowed="secret_environment with ${NAME}, or a file: secrets, for the program "
                    f"that can read {name}_FILE",
                    run="pulumi config set --secret --path llm-stack:secrets.<name>",
                    hide=True,
                )
        return environment

    @field_validator("labels")
    @classmethod
    def _no_labels_of_the_stack(cls, labels: dict[str, str]) -> dict[str, str]:
        if any(name.startswith(OWN_LABELS) for name in labels):
            raise refusal("has a label of the stack itself", allowed=f"none with {OWN_LABELS}")
        return labels

    @model_validator(mode="after")
    def _fits_together(self) -> ContainerService:
        if (self.image is None) == (self.build is None):
            raise refusal(
                "does not have one image",
                allowed="image: a published one, or build: docker/<build>.Dockerfile",
            )
        if self.health not in (None, NONE) and self.port is None:
            raise refusal(f"has health: {self.health} but no port", allowed="port, or health: none")
        if self.serves and self.port is None:
            raise refusal("has serves but no port", allowed="port: what it listens on")
        if self.public and self.port is None:
            raise refusal("is public but has no port", allowed="port: what it listens on")
        if self.expect and not self.check.startswith("/"):
            raise refusal(
                f"has expect, but its health check is {self.check}, without a response",
                allowed="expect with health: and a path",
            )
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(self.depends_on)

    @property
    def other_names(self) -> tuple[str, ...]:
        return self.aliases

    @property
    def is_job(self) -> bool:
        """Whether its program ends by itself."""
        return self.restart == JOB

    @property
    def check(self) -> str:
        """What the monitor asks: a path, `tcp` or `none`."""
        if self.is_job or self.port is None:
            return NONE
        return self.health or TCP

    @property
    def loosened(self) -> Mapping[str, str]:
        written = [one.path for one in self.volumes if isinstance(one, HostPath)]
        opened = [str(port) for port in self.ports]
        found = {
            "user": self.user if self.user.partition(":")[0] in _ROOT else "",
            "read_only": "" if self.read_only else "false",
            "cap_add": ",".join(self.cap_add),
            "devices": ",".join(device.source for device in self.devices),
            "volumes": ",".join(written),
            "ports": ",".join(opened),
            "secret_environment": ",".join(self.secret_environment),
        }
        return {key: text for key, text in found.items() if text}

    def workload(self, name: str, stack: Stack) -> Workload:
        return Workload(
            image=self.image or self.build or "",
            published=self.image is not None,
            stop_grace=self.stop_grace,
            environment=with_proxy(self.environment, stack.proxy_environment),
            check=None if self.check == NONE else self.check,
            named_secrets={path: name for name, path in self.secrets.items()},
            secret_environment=self.secret_environment,
            volumes=[one for one in self.volumes if isinstance(one, NamedVolume)],
            host_paths=[one for one in self.volumes if isinstance(one, HostPath)],
            project_files=project_files(self._project_files),
            options=self._options(),
            gpus=self.gpus,
            wait_for=self.needs,
        )

    def _options(self) -> ContainerOptions:
        return ContainerOptions(
            user=None if self.user == IMAGE_USER else self.user,
            groups=self.group_add,
            read_only=self.read_only,
            capabilities=self.cap_add,
            entrypoint=self.entrypoint,
            command=self.command,
            working_directory=self.working_dir,
            health_check=self._health_check(),
            temporary_files=self._temporary_files(),
            shared_memory=self.shm_size,
            ports=self.ports,
            devices=self.devices,
            extra_hosts=self.extra_hosts,
            ulimits={name: (limit.soft, limit.hard) for name, limit in self.ulimits.items()},
            labels=self.labels,
            loosened=self.loosened,
            aliases=self.aliases,
            init=self.init,
            restart=self.restart,
        )

    def _temporary_files(self) -> dict[str, TemporaryFiles]:
        owner = numeric_user(self.user)
        own = {
            one.path: TemporaryFiles(one.size, one.options(owner), int(one.mode, 8))
            for one in self.tmpfs
        }
        # The engine refuses a second mount at one path.
        taken = any(one.path == TEMPORARY for one in self.volumes)
        return own if taken else {TEMPORARY: TEMPORARY_FILES, **own}

    def _health_check(self) -> HealthCheck | None:
        check = self.healthcheck
        if check is not None:
            return HealthCheck(
                check.command, check.interval, check.timeout, check.retries, check.start_period
            )
        # An image's check is that of its server, which a job of the same image does not start.
        return HealthCheck(["NONE"]) if self.is_job else None

    @property
    def _project_files(self) -> list[RepositoryFiles]:
        return [one for one in self.volumes if isinstance(one, RepositoryFiles)]

    def health_check(self, host: str) -> dict[str, object] | None:
        if self.check == NONE:
            return None
        if self.check == TCP:
            return {"kind": TCP, "url": f"tcp://{host}:{self.port}"}
        return {"kind": "http", "url": f"http://{host}:{self.port}{self.check}"}

    def dependencies(self, stack: Stack) -> list[str]:
        return list(self.needs)

    def served_api(self, name: str) -> ServedApi | None:
        if self.serves is None:
            return None
        return ServedApi(
            f"http://{name}:{self.port}", self.serves, self.description, external=False
        )

    def swarm_obstacles(self) -> Iterator[tuple[str, str]]:
        if self.ports:
            yield "ports", "a Swarm would open them on every address of its nodes; use a tunnel"
        if self.devices:
            yield "devices", "a Swarm cannot give devices to its services"
        if self.gpus:
            yield "gpus", "a Swarm cannot give GPUs to its services; see docs/gpu.md"
        if self.ulimits:
            yield "ulimits", "the provider cannot set them for a Swarm; set them on its engines"

    def problems(
        self, name: str, models: Mapping[str, Model | None], source: Source
    ) -> Iterator[Problem]:
        at = ("services", name)
        yield from self._image_problems(name, source)
        yield from project_file_problems(self._project_files, (*at, "volumes"), source)
        yield from self._mounted_twice(at, source)
        in_memory = sum(one.size for one in self.tmpfs) + (self.shm_size or 0)
        if in_memory >= self.memory:
            yield source.problem(
                (*at, "memory"),
                "cannot hold tmpfs and shm_size, which count in it",
                found=f"{self.memory // MEBIBYTE}MiB",
                allowed=f"allowed: more than {in_memory // MEBIBYTE}MiB",
            )

    def _mounted_twice(self, at: Key, source: Source) -> Iterator[Problem]:
        """Of two mounts at one path the engine takes none."""
        places: list[tuple[Key, str]] = [
            *(
                (("volumes", number), path)
                for number, one in enumerate(self.volumes)
                for path in (paths_of(one) if isinstance(one, RepositoryFiles) else [one.path])
            ),
            *((("tmpfs", number), one.path) for number, one in enumerate(self.tmpfs)),
            *((("secrets", name), path) for name, path in self.secrets.items()),
        ]
        seen: set[str] = set()
        for key, path in places:
            if path in seen:
                yield source.problem(
                    (*at, *key),
                    "something else is mounted at this path",
                    found=path,
                    allowed="allowed: another path in the container",
                )
            seen.add(path)

    def _image_problems(self, name: str, source: Source) -> Iterator[Problem]:
        known = image_names()
        if self.build is not None and self.build not in known:
            yield source.problem(
                ("services", name, "build"),
                f"there is no docker/{self.build}.Dockerfile",
                found=self.build,
                allowed=choices(self.build, known),
            )
        if self.image in known:
            yield source.problem(
                ("services", name, "image"),
                f"is built by docker/{self.image}.Dockerfile, and not published",
                found=self.image,
                allowed=f"allowed: build: {self.image}, or a reference with a tag",
            )
