"""Checks an engine by the output of `docker info`.

The Pulumi program uses the same facts, see components/engine/info.py. This package cannot import
that module: it runs before any dependency is installed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from toolchain.terminal.processes import capture

Info = Mapping[str, Any]
ReadInfo = Callable[[], Info | None]

SNAPSHOTTER = "io.containerd.snapshotter.v1"
# The first version in which other machines cannot reach ports on 127.0.0.1 or container addresses
# (moby#45610).
LOOPBACK_SAFE = 28
ARCHITECTURES = ("x86_64", "aarch64", "amd64", "arm64")
INSTALL_PAGE = "https://docs.docker.com/engine/install/"
DELEGATION_PAGE = "https://docs.docker.com/engine/security/rootless/tips/#limiting-resources"
SETTING = '{"features": {"containerd-snapshotter": false}}'


class Verdict(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    """The stack runs, with less protection than documented."""
    PROBLEM = "problem"
    """The stack cannot run."""


@dataclass(frozen=True)
class Check:
    """One line of `./dev doctor` about the engine."""

    title: str
    verdict: Verdict
    what: str
    """The finding, and the fix unless it is ok."""


def read_engine_info() -> dict[str, Any] | None:
    """The output of `docker info`; None if the engine does not respond."""
    result = capture(["docker", "info", "--format", "{{json .}}"], timeout=20)
    try:
        info = json.loads(result.out)
    except ValueError:
        return None
    # Without an engine, the client still prints its own part.
    return info if isinstance(info, dict) and info.get("ServerVersion") else None


def engine_checks(info: Info, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """All checks except the image store, which is a setup step."""
    return [
        version(info),
        selinux(info),
        user_namespaces(info, environ),
        limits(info),
        architecture(info),
    ]


def image_store(info: Info) -> Check:
    """The Docker provider cannot build in containerd's store, Docker 29's default."""
    title = "Image store"
    if ["driver-type", SNAPSHOTTER] not in (info.get("DriverStatus") or ()):
        return Check(title, Verdict.OK, f"the classic one ({info.get('Driver')})")
    return Check(
        title,
        Verdict.PROBLEM,
        "containerd's, in which Pulumi's Docker provider cannot build images (pulumi-docker#967); "
        f"{_store_fix(info)}. Images and containers of the present store are not visible after "
        "that: stop them first",
    )


def _store_fix(info: Info) -> str:
    if _desktop(info):
        return "turn off: Settings, General, Use containerd for pulling and storing images"
    file, manager = (
        ("~/.config/docker/daemon.json", "systemctl --user")
        if "rootless" in _security(info)
        else ("/etc/docker/daemon.json", "systemctl")
    )
    return (
        f"put {SETTING} into {file} (merge it with existing settings), then run: "
        f"{manager} restart docker"
    )


def version(info: Info) -> Check:
    """Whether other machines can reach ports published on 127.0.0.1."""
    found = str(info.get("ServerVersion"))
    major = major_version(found)
    # A rootless engine publishes ports with rootlesskit, Docker Desktop in its virtual machine.
    if major is None or major >= LOOPBACK_SAFE or _desktop(info) or ("rootless" in _security(info)):
        return Check("Engine version", Verdict.OK, found)
    return Check(
        "Engine version",
        Verdict.WARNING,
        f"{found} lets other machines of the local network reach ports published on 127.0.0.1, and "
        f"addresses of containers (moby#45610); install Docker {LOOPBACK_SAFE} or newer "
        f"({INSTALL_PAGE}), or add a firewall rule: docs/security.md, Ports",
    )


def major_version(text: str) -> int | None:
    """The major version of `20.10.24+dfsg1`: 20; None if the text is not a version."""
    found = re.match(r"v?(\d+)\.", text)
    return int(found[1]) if found else None


def selinux(info: Info) -> Check:
    """Whether the engine uses SELinux; if so, the restarter runs without confinement."""
    if "selinux" not in _security(info):
        return Check("SELinux", Verdict.OK, "the engine does not use it")
    return Check(
        "SELinux", Verdict.OK, "the engine uses it; only the restarter runs with label=disable"
    )


def user_namespaces(info: Info, environ: Mapping[str, str]) -> Check:
    """Whether user ids in containers are those of the host."""
    title, security = "User namespaces", _security(info)
    if "rootless" in security:
        if environ.get("DOCKER_HOST"):
            return Check(title, Verdict.OK, "rootless engine")
        runtime = environ.get("XDG_RUNTIME_DIR") or "/run/user/$(id -u)"
        return Check(
            title,
            Verdict.PROBLEM,
            "rootless engine from a Docker context, which Pulumi does not read; run: "
            f"export DOCKER_HOST=unix://{runtime}/docker.sock",
        )
    if "userns" in security:
        return Check(title, Verdict.OK, "userns-remap; only the restarter uses the host's user ids")
    return Check(title, Verdict.OK, "not used")


def limits(info: Info) -> Check:
    """Whether CPU and memory limits of containers are enforced.

    An engine that cannot enforce them ignores memory limits and rejects CPU limits.
    """
    title = "Resource limits"
    if not info.get("CpuCfsQuota", True):
        fix = (
            f"delegate the cgroup controllers to your user: {DELEGATION_PAGE}"
            if "rootless" in _security(info)
            else "enable the cgroup controller cpu in the kernel"
        )
        return Check(
            title,
            Verdict.PROBLEM,
            f"the engine cannot limit CPUs and rejects containers with a CPU limit; {fix}",
        )
    if not info.get("MemoryLimit", True):
        return Check(
            title,
            Verdict.WARNING,
            "memory limits are not enforced; enable the cgroup controller memory (Raspberry Pi: "
            "cgroup_enable=memory in the kernel's command line)",
        )
    if not info.get("SwapLimit", True):
        return Check(
            title,
            Verdict.WARNING,
            "memory limits do not cover swap; boot the kernel with swapaccount=1, or without swap",
        )
    return Check(title, Verdict.OK, "CPU and memory limits are enforced")


def architecture(info: Info) -> Check:
    """Whether the images are tested on the engine's architecture."""
    found = str(info.get("Architecture"))
    if found in ARCHITECTURES:
        return Check("Architecture", Verdict.OK, found)
    return Check(
        "Architecture",
        Verdict.WARNING,
        f"{found}: the images are tested on x86_64 and aarch64 only",
    )


def _security(info: Info) -> set[str]:
    """`selinux` of `name=selinux`, `seccomp` of `name=seccomp,profile=default`, and so on."""
    options = (str(one).partition(",")[0] for one in info.get("SecurityOptions") or ())
    return {option.removeprefix("name=") for option in options}


def _desktop(info: Info) -> bool:
    return str(info.get("OperatingSystem")).startswith("Docker Desktop")
