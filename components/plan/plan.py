"""The plan of a stack: settings and catalogue, held against each other before anything exists."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from components.config.catalogue import AnyService, Catalog, ContainerService, InferenceService, Model
from components.images.image_sources import image_names, inference_images
from components.config.network_access import NetworkAccess
from components.config.orchestrator import OrchestratorKind, orchestrator_problems
from components.config.registry import registry_problems
from components.config.schema import SettingsError, choices
from components.config.stack_settings import PROJECT, StackSecrets, StackSettings
from components.plan.tunnels import QuickTunnel, TunnelPlan, make_tunnel_plans, tunnel_problems

# The monitor is no service of the catalogue: every stack has exactly one.
MONITOR = "monitor"
RESTARTER = "restarter"
# An empty image for containers that only carry files into a volume.
CARRIER = "carrier"
# What an image's name, a tunnel's and the monitor's own name of the stack allow alike.
_STACK_NAME = re.compile(r"(?=.{1,63}$)[a-z0-9]+(?:-+[a-z0-9]+)*")
# The image that connectors run from, where the settings name no other.
CONNECTOR = "cloudflared"


@dataclass(frozen=True)
class Placeholder:
    """A model that answers in place of the one that the catalogue names."""

    name: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """One stack, ready to be built: every name in it is known to exist."""

    stack: str
    settings: StackSettings
    secrets: StackSecrets
    services: dict[str, AnyService]
    models: dict[str, Model]
    tunnels: dict[str, TunnelPlan]
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
    def inference_services(self) -> dict[str, InferenceService]:
        """The enabled services that answer with a model."""
        return {
            name: service
            for name, service in self.services.items()
            if isinstance(service, InferenceService)
        }

    @property
    def placeholder(self) -> Placeholder | None:
        """The model that replaces every hub model in this stack, if one does."""
        name = self.settings.placeholder_model
        return Placeholder(name, f"{PROJECT}:placeholderModel is set") if name else None

    def served_model(self, service: InferenceService) -> tuple[str, Model]:
        """The model that a service really loads: its own, or the placeholder for one from a hub."""
        model = self.models[service.model]
        if self.placeholder and model.from_hub:
            return self.placeholder.name, self.models[self.placeholder.name]
        return service.model, model

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
        """Whether the stack has a restarter; a Swarm itself starts anew what is unhealthy."""
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
        """Whether tunnels and models refuse to be deleted: so in a stack that people rely on."""
        if self.settings.protect is not None:
            return self.settings.protect
        return any(not isinstance(tunnel.kind, QuickTunnel) for tunnel in self.tunnels.values())

    def recreates(self, name: str) -> bool:
        """Whether an update stops a service before it starts the new version."""
        return self.settings.updates.get(name) == "recreate" or self.host_port(name) is not None

    def host_port(self, name: str) -> int | None:
        """The port on 127.0.0.1 that leads to a service, if the stack opens one."""
        return self.settings.host_ports.get(name)


def make_plan(stack: str, settings: StackSettings, secrets: StackSecrets, catalog: Catalog) -> Plan:
    """Hold the settings against the catalogue; raises `SettingsError` with every problem found."""
    source = f"Pulumi.{stack}.yaml"
    enabled = tuple(catalog.services) if settings.services == "all" else settings.services
    if not _STACK_NAME.fullmatch(stack):
        raise SettingsError(
            [
                f"the stack {stack!r}: its images are named after it; allowed: 1 to 63 of a-z, "
                "0-9 and - between them, run: pulumi stack rename <name>"
            ]
        )
    problems = [
        f"{source}: {PROJECT}:{problem}"
        for problem in (
            *_ensure_services_are_known(enabled, catalog),
            *_ensure_services_are_named_once(enabled),
            *_ensure_names_are_free(enabled),
            *_ensure_host_ports_are_free(settings.host_ports),
            *_ensure_host_ports_have_a_service(settings.host_ports, catalog),
            *_ensure_updates_have_a_service(settings.updates, enabled),
            *_ensure_placeholder_needs_no_hub(settings.placeholder_model, catalog),
            *orchestrator_problems(
                settings.orchestrator,
                settings.replicas,
                settings.swarm,
                services=enabled,
                placeable=(*enabled, *(f"{name}-tunnel" for name in enabled), MONITOR),
                registry_given=settings.registry is not None,
                host_ports=settings.host_ports,
            ),
            *registry_problems(
                settings.registry,
                settings.image_digests,
                password_given=secrets.registry_password is not None,
                images=[*image_names(), *inference_images()],
            ),
        )
    ]
    if problems:
        raise SettingsError(problems)
    services = {name: catalog.services[name] for name in enabled}
    if problems := [*_ensure_dockerfiles_are_there(services)]:
        raise SettingsError(problems)
    problems = [
        f"{source}: {PROJECT}:{problem}"
        for problem in tunnel_problems(
            stack,
            settings.tunnel,
            services,
            tokens=secrets.tunnel_tokens,
            cloudflare_account=secrets.cloudflare_account,
            api_keys=secrets.api_keys is not None,
            one_engine=settings.orchestrator is OrchestratorKind.DOCKER,
        )
    ]
    if problems:
        raise SettingsError(problems)
    tunnels = make_tunnel_plans(stack, settings.tunnel, services, secrets.tunnel_tokens)
    return Plan(
        stack, settings, secrets, services, catalog.models, tunnels, tuple(catalog.services)
    )


def _ensure_services_are_known(enabled: tuple[str, ...], catalog: Catalog) -> list[str]:
    return [
        f"services.{at}: services.yaml has no such service; found {name!r}, "
        f"{choices(name, catalog.services)}"
        for at, name in enumerate(enabled)
        if name not in catalog.services
    ]


def _ensure_dockerfiles_are_there(services: dict[str, AnyService]) -> Iterator[str]:
    known = image_names()
    for name, service in services.items():
        if isinstance(service, ContainerService) and service.image not in known:
            yield (
                f"services.yaml: services.{name}.image: docker/ has no Dockerfile of this name; "
                f"found {service.image!r}, {choices(service.image, known)}"
            )


def _ensure_services_are_named_once(enabled: tuple[str, ...]) -> list[str]:
    return [
        f"services: {name!r} is named {times} times; allowed: once"
        for name, times in Counter(enabled).items()
        if times > 1
    ]


def _ensure_names_are_free(enabled: tuple[str, ...]) -> list[str]:
    return [
        f"services.{at}: {name!r} is the name of a part of every stack; allowed: another name"
        for at, name in enumerate(enabled)
        if name in {MONITOR, RESTARTER}
    ]


def _ensure_host_ports_are_free(ports: dict[str, int]) -> list[str]:
    return [
        f"hostPorts: port {port} is used by {' and '.join(users)}; allowed: a port for each"
        for port in sorted(set(ports.values()))
        if len(users := [name for name, used in ports.items() if used == port]) > 1
    ]


def _ensure_host_ports_have_a_service(ports: dict[str, int], catalog: Catalog) -> list[str]:
    """A service that is off keeps its port: turning it on again is one setting."""
    open_to = (*catalog.services, MONITOR)
    return [
        f"hostPorts.{name}: there is no such service; found {port}, {choices(name, open_to)}"
        for name, port in ports.items()
        if name not in open_to
    ]


def _ensure_updates_have_a_service(
    updates: Mapping[str, str], enabled: tuple[str, ...]
) -> list[str]:
    return [
        f"updates.{name}: this stack runs no such service; found {way!r}, {choices(name, enabled)}"
        for name, way in updates.items()
        if name not in enabled
    ]


def _ensure_placeholder_needs_no_hub(name: str | None, catalog: Catalog) -> list[str]:
    local = [known for known, model in catalog.models.items() if not model.from_hub]
    if name is None or name in local:
        return []
    return [
        f"placeholderModel: is not a model that works without a hub; found {name!r}, "
        f"{choices(name, local)}"
    ]
