"""The plan of a stack: its settings and the part of the catalogue that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network

from components.config.model import Model
from components.config.named_secrets import GeneratedSecretSettings
from components.config.names import CARRIER, CONNECTOR, MONITOR, RESTARTER
from components.config.network_access import NetworkAccess
from components.config.orchestrator import OrchestratorKind
from components.config.problems import Source
from components.config.stack_secrets import StackSecrets
from components.config.stack_settings import PROJECT, StackSettings
from components.kinds.catalogue import Catalogue
from components.kinds.service import (
    LocalService,
    Placeholder,
    ServedApi,
    Service,
    Upstream,
)
from components.kinds.workload import Workload
from components.plan.tunnels import NamedTunnel, QuickTunnel, TunnelPlan
from components.runtime.orchestrator import CONFIG_DIRECTORY


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
    catalogue: Catalogue

    @property
    def network_access(self) -> NetworkAccess:
        """How builds and containers of this stack reach the internet."""
        return self.settings.network_access

    @property
    def own_hosts(self) -> tuple[str, ...]:
        """Hosts of the stack's network, which no container reaches by way of a proxy.

        All of the catalogue: else turning one service on would change, and so restart, every other.
        """
        services = self.catalogue.services.values()
        others = (name for service in services for name in service.other_names)
        return (*self.catalogue.all_names, *others, MONITOR, RESTARTER)

    @property
    def network_environment(self) -> Mapping[str, str]:
        """Variables of the stack's proxy and certificate authorities, for our own programs."""
        return self.network_access.environment(self.own_hosts, CONFIG_DIRECTORY)

    @property
    def proxy_environment(self) -> Mapping[str, str]:
        """Variables of the stack's proxy, for a program that is not ours."""
        return self.network_access.proxy_variables(self.own_hosts)

    @cached_property
    def local_services(self) -> Mapping[str, LocalService]:
        """The services that run in containers of this stack."""
        services = self.services.items()
        return {name: one for name, one in services if isinstance(one, LocalService)}

    @cached_property
    def workloads(self) -> Mapping[str, Workload]:
        """What the container of each service runs."""
        return {name: service.workload(name, self) for name, service in self.local_services.items()}

    @property
    def images(self) -> set[str]:
        """Every image of the project that the stack runs, built or given by its digest."""
        workloads = self.workloads.values()
        return {*self.own_images, *(one.image for one in workloads if not one.published)}

    @property
    def published_images(self) -> set[str]:
        """References of the images that others publish and the stack runs."""
        images = {one.image for one in self.workloads.values() if one.published}
        return images | ({self.connector_image} if self.connector_image else set())

    @property
    def connector_image(self) -> str | None:
        """The published image of the tunnels' connectors; None where the stack builds one."""
        return self.settings.tunnel.image if self.tunnels else None

    @property
    def generated_secrets(self) -> Mapping[str, GeneratedSecretSettings]:
        """The secrets that the stack makes for its services, by name."""
        used = {name for one in self.workloads.values() for name in one.secret_names}
        return {
            name: settings
            for name, settings in self.catalogue.secrets.items()
            if name in used and name not in self.secrets.named
        }

    @property
    def upstreams(self) -> list[Upstream]:
        """The models of the model servers that the gateway sends requests to."""
        return [
            upstream
            for name, service in self.services.items()
            for upstream in service.upstreams(name, self)
        ]

    @property
    def served_apis(self) -> Mapping[str, ServedApi]:
        """The APIs of services with `serves`, by name of the service."""
        found = {name: service.served_api(name) for name, service in self.services.items()}
        return {name: api for name, api in found.items() if api}

    @property
    def upstream_services(self) -> list[str]:
        """The names of the services that the gateway sends requests to."""
        served = self.served_apis
        return [
            name
            for name, service in self.services.items()
            if name in served or service.upstreams(name, self)
        ]

    @property
    def gateway_hosts(self) -> list[str]:
        """The public host names of the gateway's tunnels.

        A tunnel that was made elsewhere has names that are not known here.
        """
        tunnels = [one for one in self.tunnels.values() if self._checks_keys(one.service)]
        return [host for tunnel in tunnels if (host := tunnel.host_pattern)]

    @property
    def services_behind_access(self) -> Mapping[str, NamedTunnel]:
        """The gateways whose tunnel has an Access policy that the stack makes."""
        return {
            name: tunnel.kind
            for name, tunnel in self.tunnels.items()
            if isinstance(tunnel.kind, NamedTunnel)
            and tunnel.kind.people
            and self._checks_keys(name)
        }

    def _checks_keys(self, service: str) -> bool:
        return self.local_services[service].checks_keys

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
        services = [name for name, one in self.local_services.items() if not one.is_job]
        connectors = [name for tunnel in self.tunnels.values() for name in tunnel.connectors]
        return (*services, *connectors)

    @property
    def protect(self) -> bool:
        """Whether tunnels and models refuse to be deleted; by default with a tunnel that stays."""
        if self.settings.protect is not None:
            return self.settings.protect
        return any(not isinstance(tunnel.kind, QuickTunnel) for tunnel in self.tunnels.values())

    def recreates(self, name: str) -> bool:
        """Whether an update stops a service before it starts the new version.

        By default with a volume of its own: a database refuses a second one on its files.
        """
        chosen = self.settings.updates.get(name)
        workload = self.workloads[name]
        writes = any(not volume.read_only for volume in workload.volumes)
        if self.host_port(name) is not None or workload.options.ports:
            return True
        return writes if chosen is None else chosen == "recreate"

    def host_port(self, name: str) -> int | None:
        """The port on 127.0.0.1 that leads to a service, if the stack opens one."""
        return self.settings.host_ports.get(name)
