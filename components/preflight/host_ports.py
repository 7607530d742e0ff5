"""Whether the host ports of a stack are free on the engine's machine.

An update would otherwise stop the container that serves, and then fail to start its successor.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable, Iterable, Iterator

from components.config.compose.ports import PublishedPort
from components.config.names import MONITOR
from components.config.problems import Problem
from components.engine.client import shell_host
from components.engine.info import EngineInfo
from components.engine.lists import EngineObject
from components.plan.plan import Plan
from components.runtime.labels import STACK


def host_port_problems(
    plan: Plan, listed: Iterable[EngineObject], own: frozenset[str], local: bool
) -> Iterator[Problem]:
    """A problem for each port that another container publishes, or another program uses.

    :param own: the names of this stack's containers, which the update replaces.
    :param local: whether the engine runs on this machine, so that its ports can be tried.
    """
    holders = [(port, one) for one in listed for port in one.ports]
    for port, problem in _wanted(plan):
        held = [one for other, one in holders if port.clashes_with(other)]
        others = [one for one in held if one.name not in own]
        if others:
            yield problem(f"the container {_named(others[0])} publishes this port")
        elif not held and local and _is_used(port):
            yield problem("another program on this machine uses this port")


def is_local(docker_host: str | None, info: EngineInfo | None) -> bool:
    """Whether the engine's ports are those of this machine."""
    host = docker_host or shell_host()
    remote = info is None or info.desktop or info.rootless
    return host.startswith("unix://") and sys.platform == "linux" and not remote


ProblemAt = Callable[[str], Problem]
"""Makes the problem of a port, at its place in a file, from a text."""


def _in_settings(plan: Plan, service: str, port: int) -> ProblemAt:
    return lambda text: plan.source.problem(
        ("hostPorts", service),
        text,
        found=port,
        allowed="allowed: a free port",
        run=f"pulumi config set --path llm-stack:hostPorts.{service} <port>",
    )


def _in_catalogue(plan: Plan, service: str, port: int) -> ProblemAt:
    return lambda text: plan.catalogue.source_of(service).problem(
        ("services", service, "ports"), text, found=port, allowed="allowed: a free port"
    )


def _wanted(plan: Plan) -> Iterator[tuple[PublishedPort, ProblemAt]]:
    # A Swarm's nodes are other machines; a service that is off keeps its port in the settings.
    if plan.on_swarm:
        return
    for name, number in plan.settings.host_ports.items():
        if name in plan.workloads or name == MONITOR:
            yield PublishedPort(number, number), _in_settings(plan, name, number)
    for name, workload in plan.workloads.items():
        for port in workload.options.ports:
            yield port, _in_catalogue(plan, name, port.published)


def _named(one: EngineObject) -> str:
    stack = (one.labels or {}).get(STACK)
    return f"{one.name} of the stack {stack}" if stack else one.name


def _is_used(port: PublishedPort) -> bool:
    """Whether a program listens there, or receives datagrams."""
    family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
    kind = socket.SOCK_DGRAM if port.protocol == "udp" else socket.SOCK_STREAM
    try:
        with socket.socket(family, kind) as probe:
            if kind is socket.SOCK_STREAM:
                # A connection that was closed a moment ago does not keep the engine from it.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((port.address, port.published))
    except OSError as error:
        # Other failures are not the engine's: it may bind ports and addresses that we may not.
        return error.errno == errno.EADDRINUSE
    return False
