"""What `docker info` says about an engine, and what a person should do about it.

The Pulumi program decides by the same facts, see components/engine/info.py. This package cannot
share that module's code: it runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from toolchain.terminal.processes import ask

Info = Mapping[str, Any]
AskEngine = Callable[[], Info | None]

SNAPSHOTTER = "io.containerd.snapshotter.v1"
# The first version that keeps ports on 127.0.0.1 from the network (moby#45610), and container
# addresses too.
LOOPBACK_SAFE = 28
ARCHITECTURES = ("x86_64", "aarch64", "amd64", "arm64")
INSTALL_PAGE = "https://docs.docker.com/engine/install/"
DELEGATION_PAGE = "https://docs.docker.com/engine/security/rootless/tips/#limiting-resources"
SETTING = '{"features": {"containerd-snapshotter": false}}'


class Verdict(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    """The stack runs, with less protection than the docs promise."""
    PROBLEM = "problem"
    """The stack cannot run."""


@dataclass(frozen=True)
class Check:
    """One line of `./dev doctor` about the engine."""

    title: str
    verdict: Verdict
    what: str
    """What was found, and what to do unless it is ok."""


def ask_engine() -> dict[str, Any] | None:
    """What the engine reports about itself; None where it does not answer."""
    answer = ask(["docker", "info", "--format", "{{json .}}"], timeout=20)
    try:
        info = json.loads(answer.out)
    except ValueError:
        return None
    # Without an engine, the client still prints what it has to say about itself.
    return info if isinstance(info, dict) and info.get("ServerVersion") else None


def engine_checks(info: Info, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """Everything but the image store, which is a step of its own."""
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
        f"{_store_way_out(info)}. Images and containers of the present store are not visible after "
        "that: stop them first",
    )


def _store_way_out(info: Info) -> str:
    if _desktop(info):
        return "turn off: Settings, General, Use containerd for pulling and storing images"
    file, manager = (
        ("~/.config/docker/daemon.json", "systemctl --user")
        if "rootless" in _security(info)
        else ("/etc/docker/daemon.json", "systemctl")
    )
    return (
        f"put {SETTING} into {file} (merge it into what is there), then run: "
        f"{manager} restart docker"
    )


def version(info: Info) -> Check:
    """Whether a port on 127.0.0.1 is closed to the machine's neighbours."""
    found = str(info.get("ServerVersion"))
    major = major_version(found)
    # A rootless engine publishes ports by a program of its own, Desktop in its virtual machine.
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
    """The first number of a version such as `20.10.24+dfsg1`; None where there is none."""
    found = re.match(r"v?(\d+)\.", text)
    return int(found[1]) if found else None


def selinux(info: Info) -> Check:
    """The restarter needs an exception from it, which the Pulumi program makes."""
    if "selinux" not in _security(info):
        return Check("SELinux", Verdict.OK, "the engine does not use it")
    return Check(
        "SELinux", Verdict.OK, "the engine uses it; the restarter alone runs with label=disable"
    )


def user_namespaces(info: Info, environ: Mapping[str, str]) -> Check:
    """Whether ids inside containers are those of the machine."""
    title, security = "User namespaces", _security(info)
    if "rootless" in security:
        if environ.get("DOCKER_HOST"):
            return Check(title, Verdict.OK, "rootless engine")
        runtime = environ.get("XDG_RUNTIME_DIR") or "/run/user/$(id -u)"
        return Check(
            title,
            Verdict.PROBLEM,
            "rootless engine, by a context of Docker's client, which Pulumi does not read; run: "
            f"export DOCKER_HOST=unix://{runtime}/docker.sock",
        )
    if "userns" in security:
        return Check(
            title, Verdict.OK, "userns-remap; the restarter alone keeps the machine's user ids"
        )
    return Check(title, Verdict.OK, "not used")


def limits(info: Info) -> Check:
    """Whether the limits of containers on processors and memory hold.

    An engine discards a limit on memory that it cannot hold, and refuses one on processors.
    """
    title = "Resource limits"
    if not info.get("CpuCfsQuota", True):
        way = (
            f"delegate the cgroup controllers to your user: {DELEGATION_PAGE}"
            if "rootless" in _security(info)
            else "enable the cgroup controller cpu in the kernel"
        )
        return Check(
            title,
            Verdict.PROBLEM,
            f"the engine cannot limit processors, and refuses containers that ask for it; {way}",
        )
    if not info.get("MemoryLimit", True):
        return Check(
            title,
            Verdict.WARNING,
            "limits on memory do not hold; enable the cgroup controller memory (on a Raspberry Pi: "
            "cgroup_enable=memory in the kernel's command line)",
        )
    if not info.get("SwapLimit", True):
        return Check(
            title,
            Verdict.WARNING,
            "limits on memory do not cover swap; boot the kernel with swapaccount=1, or without "
            "swap",
        )
    return Check(title, Verdict.OK, "processors and memory")


def architecture(info: Info) -> Check:
    """Whether anybody has run the images there."""
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
