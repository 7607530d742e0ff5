"""Validates stack settings against the catalogue before any resource is declared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network

from components.config.model import Model
from components.config.names import CARRIER, CONNECTOR, MONITOR, RESTARTER
from components.config.network_access import NetworkAccess
from components.config.orchestrator import (
    OrchestratorKind,
    not_running_problems,
    orchestrator_problems,
)
from components.config.problems import Problem, Source, choices, ensure_none
from components.config.registry import registry_problems
from components.config.stack_settings import (
    PROJECT,
    LoadedSettings,
    StackSecrets,
    StackSettings,
)
from components.images.image_sources import image_names, inference_images
from components.kinds.catalogue import Catalogue
from components.kinds.service import Placeholder, Service, Upstream
from components.kinds.workload import Workload
from components.plan.tunnels import QuickTunnel, TunnelPlan, make_tunnel_plans, tunnel_problems
from components.runtime.orchestrator import CONFIG_DIRECTORY

# What an image's name, a tunnel's and the monitor's own name of the stack allow alike.
_STACK_NAME = re.compile(r"(?=.{1,63}$)[a-z0-9]+(?:-+[a-z0-9]+)*")


@dataclass(frozen=True)
class Plan:
    """One stack, ready to be built: every name in it is known to exist."""

    stack: str
    settings: StackSettings
    secrets: StackSecrets
    services: Mapping[str, Service]
    models: Mapping[str, Model]
    tunnels: Mapping[str, TunnelPlan]
    source: Source
    """The stack's settings file."""
    catalogue: Source
    """services.yaml."""
    known_services: tuple[str, ...] = ()
    """Names of all services of the catalogue, enabled or not."""

    @property
    def network_access(self) -> NetworkAccess:
        """How builds and containers of this stack reach the internet."""
        return self.settings.network_access

    @property
    def own_hosts(self) -> tuple[str, ...]:
        """Hosts of the stack's network, which no container reaches by way of a proxy.

        All of the catalogue: else turning one service on would change, and so restart, every other.
        """
        return (*self.known_services, MONITOR, RESTARTER)

    @property
    def network_environment(self) -> Mapping[str, str]:
        """Variables of the stack's proxy and certificate authorities, for our own programs."""
        return self.network_access.environment(self.own_hosts, CONFIG_DIRECTORY)

    @property
    def proxy_environment(self) -> Mapping[str, str]:
        """Variables of the stack's proxy, for a program that is not ours."""
        return self.network_access.proxy_variables(self.own_hosts)

    @cached_property
    def workloads(self) -> Mapping[str, Workload]:
        """What the container of each service runs."""
        return {name: service.workload(self) for name, service in self.services.items()}

    @property
    def images(self) -> set[str]:
        """Every image that the stack runs, built or given by its digest."""
        return {*self.own_images, *(workload.image for workload in self.workloads.values())}

    @property
    def upstreams(self) -> list[Upstream]:
        """The model servers that the gateway sends requests to, one for each service."""
        found = (service.upstream(name, self) for name, service in self.services.items())
        return [upstream for upstream in found if upstream]

    @property
    def upstream_addresses(self) -> list[str]:
        """The names on the network of all replicas of the model servers."""
        return [
            address
            for name, service in self.services.items()
            if service.upstream(name, self)
            for address in self.addresses(name)
        ]

    def loaded_model(self, name: str) -> tuple[Model, Placeholder | None]:
        """The model that is loaded where a service names one, and why it is another."""
        model, placeholder = self.models[name], self.settings.placeholder_model
        if placeholder and model.from_hub:
            reason = f"{PROJECT}:placeholderModel is set"
            return self.models[placeholder], Placeholder(placeholder, reason)
        return model, None

    @property
    def own_images(self) -> tuple[str, ...]:
        """Images that the stack builds beside those of its services."""
        images = [MONITOR]
        if not self.on_swarm:
            images.append(CARRIER)
        if self.restarts:
            images.append(RESTARTER)
        if self.tunnels and self.settings.tunnel.image is None:
            images.append(CONNECTOR)
        return tuple(images)

    @property
    def on_swarm(self) -> bool:
        """Whether a Swarm runs the stack, and not one engine."""
        return self.settings.orchestrator is OrchestratorKind.SWARM

    @property
    def restarts(self) -> bool:
        """Whether the stack has a restarter; a Swarm restarts unhealthy tasks itself."""
        return self.settings.monitor.restarts and not self.on_swarm

    @property
    def services_subnet(self) -> IPv4Network | None:
        """The addresses of the network of all services; None leaves the choice to the engine."""
        network = self.settings.network
        if network is None:
            return None
        return network.subnet if self.on_swarm else network.services

    @property
    def restarter_subnet(self) -> IPv4Network | None:
        """The addresses of the network of monitor and restarter, on one engine."""
        return self.settings.network.restarter if self.settings.network else None

    def replicas(self, name: str) -> int | None:
        """How many of a service run; None for one without a number."""
        count = self.settings.replicas.get(name, 1)
        return count if count > 1 else None

    def addresses(self, name: str) -> list[str]:
        """The names on the network of each replica of a service."""
        count = self.replicas(name)
        return [f"{name}-{number}" for number in range(1, count + 1)] if count else [name]

    @property
    def restartable(self) -> tuple[str, ...]:
        """The services, and the connectors, that the monitor may have restarted."""
        connectors = [name for tunnel in self.tunnels.values() for name in tunnel.connectors]
        return (*self.services, *connectors)

    @property
    def protect(self) -> bool:
        """Whether tunnels and models refuse to be deleted; by default with a tunnel that stays."""
        if self.settings.protect is not None:
            return self.settings.protect
        return any(not isinstance(tunnel.kind, QuickTunnel) for tunnel in self.tunnels.values())

    def recreates(self, name: str) -> bool:
        """Whether an update stops a service before it starts the new version."""
        return self.settings.updates.get(name) == "recreate" or self.host_port(name) is not None

    def host_port(self, name: str) -> int | None:
        """The port on 127.0.0.1 that leads to a service, if the stack opens one."""
        return self.settings.host_ports.get(name)


def make_plan(stack: str, loaded: LoadedSettings, catalogue: Catalogue) -> Plan:
    """Validate the settings against the catalogue; raises `SettingsError` with every problem."""
    settings, source = loaded.settings.value, loaded.source
    assert settings is not None
    enabled = tuple(catalogue.services) if settings.services == "all" else settings.services
    # What a service with problems is, is not known: it is only not reported as unknown.
    services = {name: catalogue.services[name] for name in enabled if name in catalogue.services}
    cross_checks = [
        *_service_problems(enabled, catalogue, source),
        *_host_port_problems(settings, catalogue, source),
        *not_running_problems(("updates",), settings.updates, enabled, source),
        *_placeholder_problems(settings.placeholder_model, catalogue, source),
        *orchestrator_problems(
            settings.orchestrator,
            settings.replicas,
            settings.swarm,
            services=enabled,
            placeable=(*enabled, *(f"{name}-tunnel" for name in enabled), MONITOR),
            registry_given=settings.registry is not None,
            host_ports=settings.host_ports,
            source=source,
        ),
        *registry_problems(
            settings.registry,
            settings.image_digests,
            password_given=loaded.secrets.registry_password is not None,
            images=[*image_names(), *inference_images()],
            source=source,
        ),
        *_tunnel_problems(stack, loaded, settings, services, enabled),
    ]
    ensure_none(
        [
            *_stack_name_problems(stack),
            *loaded.problems,
            *catalogue.problems,
            # A value that is wrong is not missing as well.
            *(one for one in cross_checks if not loaded.settings.lacks(*one.location)),
        ]
    )
    tunnels = make_tunnel_plans(stack, settings.tunnel, services, loaded.secrets.tunnel_tokens)
    return Plan(
        stack,
        settings,
        loaded.secrets,
        services,
        catalogue.models,
        tunnels,
        source,
        catalogue.source,
        catalogue.names,
    )


def _stack_name_problems(stack: str) -> Iterator[Problem]:
    if not _STACK_NAME.fullmatch(stack):
        yield Problem(
            f"Pulumi.{stack}.yaml",
            "",
            "the stack's images are named after it",
            found=repr(stack),
            allowed="allowed: 1 to 63 of a-z, 0-9 and - between them",
            run="pulumi stack rename <name>",
        )


def _service_problems(
    enabled: tuple[str, ...], catalogue: Catalogue, source: Source
) -> Iterator[Problem]:
    for at, name in enumerate(enabled):
        if name in {MONITOR, RESTARTER}:
            yield source.problem(
                ("services", at),
                "is the name of a part of every stack",
                found=name,
                allowed="allowed: another name",
            )
        elif name not in catalogue.names:
            yield source.problem(
                ("services", at),
                "is not a service of services.yaml",
                found=name,
                allowed=choices(name, catalogue.names),
            )
    for name, times in Counter(enabled).items():
        if times > 1:
            yield source.problem(
                ("services",), f"{name!r} is listed {times} times", allowed="allowed: once"
            )


def _host_port_problems(
    settings: StackSettings, catalogue: Catalogue, source: Source
) -> Iterator[Problem]:
    """A service that is off keeps its port: turning it on again is one setting."""
    known = (*catalogue.names, MONITOR)
    yield from not_running_problems(("hostPorts",), settings.host_ports, known, source)
    users: dict[int, list[str]] = {}
    for name, port in settings.host_ports.items():
        users.setdefault(port, []).append(name)
    for port, names in sorted(users.items()):
        if len(names) > 1:
            yield source.problem(
                ("hostPorts", names[-1]),
                f"the port is also that of {' and '.join(names[:-1])}",
                found=port,
                allowed="allowed: a port for each",
                run=f"pulumi config set --path llm-stack:hostPorts.{names[-1]} <port>",
            )


def _placeholder_problems(
    name: str | None, catalogue: Catalogue, source: Source
) -> Iterator[Problem]:
    local = [known for known, model in catalogue.models.items() if not model.from_hub]
    if name is not None and name not in local:
        yield source.problem(
            ("placeholderModel",),
            "is not a model that works without a hub",
            found=name,
            allowed=choices(name, local),
        )


def _tunnel_problems(
    stack: str,
    loaded: LoadedSettings,
    settings: StackSettings,
    services: Mapping[str, Service],
    enabled: tuple[str, ...],
) -> Iterator[Problem]:
    """Nothing where it is not known which services the stack runs."""
    if loaded.settings.lacks("services"):
        return
    yield from tunnel_problems(
        stack,
        settings.tunnel,
        services,
        enabled,
        tokens=loaded.secrets.tunnel_tokens,
        cloudflare_account=loaded.secrets.cloudflare_account,
        api_keys=loaded.secrets.api_keys is not None,
        one_engine=settings.orchestrator is OrchestratorKind.DOCKER,
        source=loaded.source,
    )
