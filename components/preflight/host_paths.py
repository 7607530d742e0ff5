"""Whether the folders and devices of the machine that services use are there.

The engine makes a missing folder itself, empty and root's, and refuses a container with a missing
device.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.config.compose.machine import IMAGE_USER
from components.config.compose.volumes import HostPath
from components.config.problems import Problem, Source
from components.engine.info import EngineInfo
from components.kinds.container import ContainerService
from components.kinds.inference import InferenceService
from components.plan.plan import Plan

_ROOT = (IMAGE_USER, "root", "0")


def host_path_problems(plan: Plan, info: EngineInfo | None, local: bool) -> Iterator[Problem]:
    """A problem for each path of the machine that is not there.

    :param local: whether the engine runs on this machine. Where it does not, nothing is known.
    """
    if not local or plan.on_swarm or info is None or not info.folder:
        return
    # In a container with the engine's socket, this program has another file system.
    if _is_missing(info.folder):
        return
    for name, service in plan.local_services.items():
        source = plan.catalogue.source_of(name)
        if isinstance(service, ContainerService | InferenceService):
            yield from _folder_problems(name, service, source)
        if isinstance(service, ContainerService):
            yield from _device_problems(name, service, source)


def _folder_problems(
    name: str, service: ContainerService | InferenceService, source: Source
) -> Iterator[Problem]:
    for number, mount in enumerate(service.volumes):
        if not isinstance(mount, HostPath) or not _is_missing(mount.source):
            continue
        if isinstance(service, ContainerService) and _engine_makes_it(mount, service):
            continue
        yield source.problem(
            ("services", name, "volumes", number),
            "the machine does not have this file or folder; Docker would mount an empty folder of "
            "root's in its place",
            found=mount.source,
            allowed="allowed: a path that exists",
            run=f"sudo mkdir -p {mount.source}",
        )


def _device_problems(name: str, service: ContainerService, source: Source) -> Iterator[Problem]:
    for number, device in enumerate(service.devices):
        if _is_missing(device.source):
            yield source.problem(
                ("services", name, "devices", number),
                "the machine does not have this device, and Docker refuses the container",
                found=device.source,
                allowed="allowed: a device that exists",
                run="ls /dev",
            )


def _engine_makes_it(mount: HostPath, service: ContainerService) -> bool:
    """Whether a folder that the engine makes is of use: only root can write to it."""
    return not mount.read_only and service.user.partition(":")[0] in _ROOT


def _is_missing(path: str) -> bool:
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        # It may be in a folder that only root can read.
        return False
    return False
