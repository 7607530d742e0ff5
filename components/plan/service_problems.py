"""What keeps services from running together: dependencies, secrets, ports, names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from components.config.compose.dependencies import Condition
from components.config.compose.ports import LOOPBACK, PublishedPort
from components.config.compose.volumes import NamedVolume
from components.config.named_secrets import references
from components.config.names import MONITOR, RESTARTER, USAGE_SUFFIX
from components.config.orchestrator import OrchestratorKind
from components.config.problems import Problem, choices
from components.config.stack_secrets import StackSecrets
from components.config.stack_settings import StackSettings, services_command
from components.kinds.catalogue import Catalogue
from components.kinds.container import ContainerService
from components.kinds.inference import InferenceService
from components.kinds.service import LocalService, Service


def service_problems(
    services: Mapping[str, LocalService],
    enabled: Sequence[str],
    catalogue: Catalogue,
    settings: StackSettings,
    secrets: StackSecrets,
) -> Iterator[Problem]:
    """Problems between the services that a stack enables.

    :param services: those that run in containers and are valid.
    :param enabled: the names of all services of the stack.
    """
    containers = {n: one for n, one in services.items() if isinstance(one, ContainerService)}
    yield from _dependency_problems(containers, services, enabled, catalogue)
    yield from _circle_problems(containers, catalogue)
    yield from _secret_problems(containers, catalogue, secrets)
    yield from _port_problems(containers, catalogue, settings)
    yield from _name_problems(containers, enabled, catalogue)
    yield from _model_problems(services, catalogue)
    if settings.orchestrator is OrchestratorKind.SWARM:
        for name, service in services.items():
            for key, reason in service.swarm_obstacles():
                yield catalogue.source_of(name).problem(
                    ("services", name, key), reason, allowed="allowed: none on a Swarm"
                )


def _model_problems(
    services: Mapping[str, LocalService], catalogue: Catalogue
) -> Iterator[Problem]:
    """A model that is loaded on demand has one service: the gateway chooses no other for it."""
    models = {n: one for n, one in services.items() if isinstance(one, InferenceService)}
    for name, service in models.items():
        for index, model in enumerate(service.models):
            others = [other for other in models if other != name]
            if having := [other for other in others if model in models[other].names]:
                yield catalogue.source_of(name).problem(
                    ("services", name, "models", index),
                    f"is a model of {having[0]} too",
                    found=model,
                    allowed="allowed: a model of this service alone",
                )


def _dependency_problems(
    containers: Mapping[str, ContainerService],
    services: Mapping[str, LocalService],
    enabled: Sequence[str],
    catalogue: Catalogue,
) -> Iterator[Problem]:
    for name, service in containers.items():
        source = catalogue.source_of(name)
        for needed, dependency in service.depends_on.items():
            at = ("services", name, "depends_on", needed)
            condition = dependency.condition
            if needed not in catalogue.all_names:
                others = [other for other in catalogue.all_names if other != name]
                yield source.problem(
                    at, "is not a service", found=needed, allowed=choices(needed, others)
                )
            elif needed not in enabled:
                yield source.problem(
                    at,
                    "is not enabled in this stack",
                    found=needed,
                    run=services_command([*enabled, needed]),
                )
            elif needed not in services:
                # It has problems itself, or runs elsewhere.
                continue
            elif services[needed].is_job and condition is Condition.HEALTHY:
                yield source.problem(
                    at,
                    "is a job, which ends and is never healthy",
                    found=condition.value,
                    allowed=f"allowed: {Condition.COMPLETED.value}",
                )
            elif not services[needed].is_job and condition is Condition.COMPLETED:
                yield source.problem(
                    at,
                    "is not a job, and never ends",
                    found=condition.value,
                    allowed=f'allowed: {Condition.HEALTHY.value}, or restart: "no" for {needed}',
                )


def _circle_problems(
    containers: Mapping[str, ContainerService], catalogue: Catalogue
) -> Iterator[Problem]:
    graph = {name: set(service.depends_on) for name, service in containers.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = [str(name) for name in error.args[1]]
        # Listed from the dependency to what depends on it.
        name = circle[-1]
        yield catalogue.source_of(name).problem(
            ("services", name, "depends_on"),
            f"is a circle: {' → '.join(reversed(circle))}",
            allowed="allowed: services that can start one after another",
        )


def _secret_problems(
    containers: Mapping[str, ContainerService], catalogue: Catalogue, secrets: StackSecrets
) -> Iterator[Problem]:
    known = {*catalogue.secrets, *secrets.named}
    for name, service in containers.items():
        needed = {secret: ("secrets", secret) for secret in service.secrets}
        for variable, text in service.secret_environment.items():
            needed |= {secret: ("secret_environment", variable) for secret in references(text)}
        for secret, key in needed.items():
            if secret not in known:
                yield catalogue.source_of(name).problem(
                    ("services", name, *key),
                    f"the stack does not have the secret {secret}",
                    allowed=choices(secret, known)
                    + f"; or secrets: {{{secret}: {{generate: 32}}}} in the catalogue",
                    run=f"pulumi config set --secret --path llm-stack:secrets.{secret}",
                )


def api_key_problems(
    services: Mapping[str, Service], catalogue: Catalogue, secrets: StackSecrets
) -> Iterator[Problem]:
    """Keys that the gateway shall send to a service, and that the stack does not have."""
    known = {*catalogue.secrets, *secrets.named}
    for name, service in services.items():
        api = service.served_api(name)
        secret = api.serves.api_key if api else None
        if secret is not None and secret not in known:
            yield catalogue.source_of(name).problem(
                ("services", name, "serves", "api_key"),
                f"the stack does not have the secret {secret}",
                allowed=choices(secret, known),
                run=f"pulumi config set --secret --path llm-stack:secrets.{secret}",
            )


def _port_problems(
    containers: Mapping[str, ContainerService], catalogue: Catalogue, settings: StackSettings
) -> Iterator[Problem]:
    """Two that want one port of the machine."""
    taken: list[tuple[str, PublishedPort]] = [
        (f"llm-stack:hostPorts.{name}", PublishedPort(port, port, LOOPBACK))
        for name, port in settings.host_ports.items()
    ]
    for name, service in containers.items():
        for at, port in enumerate(service.ports):
            owner = next((who for who, other in taken if port.clashes_with(other)), None)
            if owner:
                yield catalogue.source_of(name).problem(
                    ("services", name, "ports", at),
                    f"the port is also that of {owner}",
                    found=str(port),
                    allowed="allowed: another port of the machine",
                )
            taken.append((name, port))


def _name_problems(
    containers: Mapping[str, ContainerService], enabled: Sequence[str], catalogue: Catalogue
) -> Iterator[Problem]:
    """Names on the network, and of volumes, that mean something else already.

    An alias may be the name of a service that the stack leaves off: an imported `shop-postgres`
    is reached as `postgres` where the catalogue's own is not used.
    """
    names = {*enabled, MONITOR, RESTARTER}
    aliases: dict[str, str] = {}
    reserved = {
        f"{MONITOR}-history",
        *(f"{name}-models" for name in catalogue.all_names),
        *(f"{name}{USAGE_SUFFIX}" for name in catalogue.all_names),
    }
    for name, service in containers.items():
        source = catalogue.source_of(name)
        for at, alias in enumerate(service.aliases):
            if alias in names and alias != name:
                yield source.problem(
                    ("services", name, "aliases", at),
                    "is the name of another service",
                    found=alias,
                    allowed="allowed: another name",
                )
            elif aliases.setdefault(alias, name) != name:
                yield source.problem(
                    ("services", name, "aliases", at),
                    f"is also an alias of {aliases[alias]}: clients would reach either of them",
                    found=alias,
                    allowed="allowed: another name",
                )
        for at, volume in enumerate(service.volumes):
            if isinstance(volume, NamedVolume) and volume.name in reserved:
                yield source.problem(
                    ("services", name, "volumes", at),
                    "is the name of a volume of the stack itself",
                    found=volume.name,
                    allowed="allowed: another name",
                )
