"""A service of the catalogue: what all kinds have in common, and what each kind decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

from pydantic import Field, PrivateAttr

from components.config.field_types import Cpus, HttpStatus, Memory, Port, Scalar
from components.config.model import Model, Task
from components.config.problems import Problem, Source
from components.config.schema import StrictModel
from components.config.serves import Serves
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
class Router:
    """A model server that has only some of its models in memory."""

    name: str
    """The service."""
    max_loaded: int
    """Models in memory at once."""


@dataclass(frozen=True)
class Upstream:
    """A model of a model server that the gateway sends requests to."""

    model: str
    """The name in requests."""
    url: str
    loaded: Model
    """The model that really answers."""
    placeholder: Placeholder | None
    description: str
    status_port: int
    """Where a replica reports whether it is draining."""
    task: Task = "chat"
    """What the model is for."""
    router: Router | None = None
    """None for a server that has this model alone."""


@dataclass(frozen=True)
class ServedApi:
    """A service's OpenAI-compatible API, which the gateway offers."""

    url: str
    serves: Serves
    description: str
    external: bool
    """Whether the server is outside of the stack's network."""


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
        """The models of all its model servers."""

    @property
    def served_apis(self) -> Mapping[str, ServedApi]:
        """The APIs of services with `serves`, by name of the service."""

    @property
    def upstream_services(self) -> list[str]:
        """The names of the services that the gateway sends requests to."""

    @property
    def gateway_hosts(self) -> list[str]:
        """The public host names of the gateway's tunnels."""

    @property
    def services_behind_access(self) -> Collection[str]:
        """The gateways whose tunnel has an Access policy that the stack makes."""

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
    """One service of the catalogue, and what its kind makes of it.

    A kind is a subclass in its own module of this package; components/kinds/registry.py finds it,
    and its name is the default of the field `kind`.
    """

    kind: str
    description: str
    expect: Expect | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the services that must run before it."""
        return ()

    @property
    def other_names(self) -> tuple[str, ...]:
        """Its names on the network beside its own."""
        return ()

    @property
    def start_grace(self) -> int:
        """Seconds for which the monitor does not expect it to be healthy yet."""
        return 60

    @abstractmethod
    def health_check(self, host: str) -> dict[str, object] | None:
        """The health check of one replica: `kind` and `url` of app/monitor/settings.py.

        None for a service that the monitor does not check.
        """

    def check_options(self, stack: Stack) -> dict[str, object]:
        """More fields of its health check, which depend on the rest of the stack."""
        return {}

    def dependencies(self, stack: Stack) -> list[str]:
        """Names of the services that must work for it to be healthy."""
        return []

    def upstreams(self, name: str, stack: Stack) -> Sequence[Upstream]:
        """The models that it answers with, if it is a model server."""
        return ()

    def served_api(self, name: str) -> ServedApi | None:
        """Its OpenAI-compatible API, if the gateway offers one of it."""
        return None

    def problems(
        self, name: str, models: Mapping[str, Model | None], source: Source
    ) -> Iterator[Problem]:
        """What does not fit the rest of the catalogue.

        :param models: all of the catalogue; None for one that has problems itself.
        """
        yield from ()


class LocalService(Service):
    """A service that the stack runs in a container: its limits, and its port in the network."""

    checks_keys: ClassVar[bool] = False
    """Whether the service checks API keys, and so may be public."""

    memory: Memory
    cpus: Cpus = Field(description="processors that it may use at most")
    port: Port | None
    public: bool = Field(default=False, description="whether a tunnel may lead to it")
    start_timeout: int = Field(ge=1, description="seconds until it must be healthy")

    _from_stack: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def start_grace(self) -> int:
        return self.start_timeout

    @property
    def limits_from_stack(self) -> frozenset[str]:
        """The limits that its entry leaves to the stack."""
        return self._from_stack

    def with_limits(self, limits: Mapping[str, float]) -> Self:
        """The same service with these limits where its entry has none."""
        missing = frozenset(limits) - self.model_fields_set
        copy = self.model_copy(update={name: limits[name] for name in missing})
        copy._from_stack = missing
        return copy

    @property
    def is_job(self) -> bool:
        """Whether its program ends by itself."""
        return False

    @property
    def loosened(self) -> Mapping[str, str]:
        """By key: what its container is allowed beyond the hardening of all others."""
        return {}

    @abstractmethod
    def workload(self, name: str, stack: Stack) -> Workload:
        """What its container runs."""

    def swarm_obstacles(self) -> Iterator[tuple[str, str]]:
        """Keys that a Swarm cannot fulfil, each with the reason."""
        yield from ()
