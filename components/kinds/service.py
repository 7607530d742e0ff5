"""A service of the catalogue: what all kinds have in common, and what each kind decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from pydantic import Field

from components.config.field_types import Cpus, HttpStatus, Memory, Port, Scalar
from components.config.model import Model
from components.config.problems import Problem, Source
from components.config.schema import StrictModel
from components.config.stack_secrets import StackSecrets
from components.config.stack_settings import StackSettings
from components.kinds.workload import Workload

# Seconds after which the monitor has given up on a response.
MONITOR_TIMEOUT = 5


@dataclass(frozen=True)
class Placeholder:
    """A model that answers in place of the one that the catalogue names."""

    name: str
    reason: str


@dataclass(frozen=True)
class Upstream:
    """A model server that the gateway sends requests to."""

    model: str
    """The name in requests."""
    url: str
    loaded: Model
    """The model that really answers."""
    placeholder: Placeholder | None
    description: str
    status_port: int
    """Where a replica reports whether it is draining."""


class Stack(Protocol):
    """What a kind can read of the stack that its services are part of."""

    @property
    def settings(self) -> StackSettings:
        """All that is not secret."""

    @property
    def secrets(self) -> StackSecrets:
        """Each is None where the stack has none."""

    @property
    def models(self) -> Mapping[str, Model]:
        """The models of the catalogue by name."""

    @property
    def on_swarm(self) -> bool:
        """Whether a Swarm runs the stack, and not one engine."""

    @property
    def upstreams(self) -> list[Upstream]:
        """The model servers of all its services."""

    @property
    def upstream_addresses(self) -> list[str]:
        """The names on the network of all their replicas."""

    @property
    def proxy_environment(self) -> Mapping[str, str]:
        """Variables of the stack's proxy, for a program that is not ours."""

    @property
    def network_environment(self) -> Mapping[str, str]:
        """Variables of the stack's proxy and certificate authorities, for our own programs."""

    def loaded_model(self, name: str) -> tuple[Model, Placeholder | None]:
        """The model that is loaded where a service names one, and why it is another."""


class Expect(StrictModel):
    """Conditions on the response to the monitor's health check, beyond that there is one.

    Of a model only `max_seconds` counts, since what it answers is judged by its progress.
    """

    renamed_keys: ClassVar[Mapping[str, tuple[str, str]]] = {
        "slower_than": ("max_seconds", "sed -i s/slower_than/max_seconds/ services.yaml")
    }
    status: tuple[HttpStatus, ...] = Field(default=(200,), min_length=1)
    max_seconds: float | None = Field(
        default=None,
        gt=0,
        lt=MONITOR_TIMEOUT,
        description="a slower response is reported as degraded",
    )
    body_contains: str | None = Field(default=None, min_length=1)
    values: dict[str, Scalar] = Field(
        default_factory=dict,
        alias="json",
        description="by path (`status`, `checks.0.state`): the value in the JSON response",
    )


class Service(StrictModel, ABC):
    """One service: its limits, its port inside the network, and what its kind makes of it.

    A kind is a subclass in its own module of this package; components/kinds/registry.py finds it,
    and its name is the default of the field `kind`.
    """

    checks_keys: ClassVar[bool] = False
    """Whether the service checks API keys, and so may be public."""

    kind: str
    description: str
    memory: Memory
    cpus: Cpus = Field(description="processors that it may use at most")
    port: Port
    public: bool = Field(default=False, description="whether a tunnel may lead to it")
    start_timeout: int = Field(ge=1, description="seconds until it must be healthy")
    expect: Expect | None = None

    @abstractmethod
    def workload(self, stack: Stack) -> Workload:
        """What its container runs."""

    @abstractmethod
    def health_check(self, host: str) -> dict[str, object]:
        """The health check of one replica: `kind` and `url` of app/monitor/settings.py."""

    def depends_on(self, stack: Stack) -> list[str]:
        """Names on the network of what must work for it to be healthy."""
        return []

    def upstream(self, name: str, stack: Stack) -> Upstream | None:
        """The model server that it is, if it is one."""
        return None

    def problems(
        self, name: str, models: Mapping[str, Model | None], source: Source
    ) -> Iterator[Problem]:
        """What does not fit the rest of the catalogue.

        :param models: all of the catalogue; None for one that has problems itself.
        """
        yield from ()
