"""Validates stack settings against the catalogue before any resource is declared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from components.config.loading import LoadedSettings
from components.config.names import FETCH_SUFFIX, LISTS_SUFFIX, MONITOR, PUBLIC_SUFFIX, RESTARTER
from components.config.orchestrator import (
    OrchestratorKind,
    not_running_problems,
    orchestrator_problems,
)
from components.config.problems import Problem, Source, choices, ensure_none
from components.config.registry import registry_problems
from components.config.stack_settings import StackSettings
from components.images.image_sources import image_names, inference_images
from components.kinds.catalogue import Catalogue
from components.kinds.service import LocalService
from components.plan.identity_problems import identity_problems
from components.plan.maintenance_problems import maintenance_problems
from components.plan.plan import Plan
from components.plan.service_problems import api_key_problems, service_problems
from components.plan.tunnel_problems import tunnel_problems
from components.plan.tunnels import make_tunnel_plans, tunnel_wishes

# What an image's name, a tunnel's and the monitor's own name of the stack allow alike.
_STACK_NAME = re.compile(r"(?=.{1,63}$)[a-z0-9]+(?:-+[a-z0-9]+)*")


def make_plan(stack: str, loaded: LoadedSettings, catalogue: Catalogue) -> Plan:
    """Validate the settings against the catalogue; raises `SettingsError` with every problem."""
    settings, source = loaded.settings.value, loaded.source
    assert settings is not None
    enabled = catalogue.names if settings.services == "all" else settings.services
    own_problems = [*_stack_name_problems(stack), *loaded.problems, *catalogue.problems]
    if not catalogue.names:
        # Compared with a catalogue that cannot be read, every name would be wrong.
        ensure_none(own_problems)
    services = {name: catalogue.services[name] for name in enabled if name in catalogue.services}
    local = {name: one for name, one in services.items() if isinstance(one, LocalService)}
    # One with problems may be local, and what is set for it is no further problem.
    placeable = tuple(name for name in enabled if name in local or name not in services)
    cross_checks = [
        *_service_problems(loaded, enabled, catalogue),
        *_host_port_problems(settings, catalogue, source),
        *_portless_problems(settings, local, source),
        *not_running_problems(("updates",), settings.updates, placeable, source),
        *service_problems(local, enabled, catalogue, settings, loaded.secrets),
        *api_key_problems(services, catalogue, loaded.secrets),
        *maintenance_problems(settings.monitor.maintenance, enabled, source),
        *_placeholder_problems(settings.placeholder_model, catalogue, source),
        *orchestrator_problems(
            settings.orchestrator,
            settings.replicas,
            settings.swarm,
            services=placeable,
            placeable=(*placeable, *(f"{name}-tunnel" for name in placeable), MONITOR),
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
        *_tunnel_problems(stack, loaded, settings, local, placeable),
    ]
    ensure_none(
        [
            *own_problems,
            # A value that is wrong is not missing as well.
            *(one for one in cross_checks if not loaded.settings.lacks(*one.location)),
        ]
    )
    tunnels = make_tunnel_plans(stack, settings.tunnel, local, loaded.secrets.tunnel_tokens)
    return Plan(
        stack,
        settings,
        loaded.secrets,
        services,
        catalogue.models,
        tunnels,
        source,
        catalogue,
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
    loaded: LoadedSettings, enabled: tuple[str, ...], catalogue: Catalogue
) -> Iterator[Problem]:
    source = loaded.source
    for at, name in zip(loaded.settings.indexes("services", len(enabled)), enabled, strict=True):
        if name in {MONITOR, RESTARTER}:
            yield source.problem(
                ("services", at),
                "is the name of a part of every stack",
                found=name,
                allowed="allowed: another name",
            )
        elif (owner := name.removesuffix(FETCH_SUFFIX)) != name and owner in enabled:
            yield source.problem(
                ("services", at),
                f"is the name of the container that fetches the files of {owner}",
                found=name,
                allowed="allowed: another name",
            )
        elif (reader := name.removesuffix(LISTS_SUFFIX)) != name and reader in (*enabled, MONITOR):
            yield source.problem(
                ("services", at),
                f"is the name of the service that has the lists of {reader} on a Swarm",
                found=name,
                allowed="allowed: another name",
            )
        elif (owner := name.removesuffix(PUBLIC_SUFFIX)) != name and owner in enabled:
            yield source.problem(
                ("services", at),
                f"is the name of the check of the public address of {owner}",
                found=name,
                allowed="allowed: another name",
            )
        elif name not in catalogue.all_names:
            yield source.problem(
                ("services", at),
                "is not a service of services.yaml or catalog/",
                found=name,
                allowed=choices(name, catalogue.all_names),
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
    known = (*catalogue.all_names, MONITOR)
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


def _portless_problems(
    settings: StackSettings, services: Mapping[str, LocalService], source: Source
) -> Iterator[Problem]:
    for name in settings.host_ports:
        if name in services and services[name].port is None:
            yield source.problem(
                ("hostPorts", name),
                "the service does not have a port to which one of the machine could lead",
                allowed="allowed: services with port: in the catalogue",
                run=source.remove_command(("hostPorts", name)),
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
    services: Mapping[str, LocalService],
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
        gateway_hosts=settings.gateway.hosts,
        source=loaded.source,
    )
    wishes = tunnel_wishes(stack, settings.tunnel, services, loaded.secrets.tunnel_tokens)
    yield from identity_problems(settings.gateway.access, wishes, loaded.source)
