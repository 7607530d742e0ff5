"""Whether images can be built: on the engine that runs them, and in its image store.

The provider builds on the engine of DOCKER_HOST, and runs containers on that of `docker:host`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from components.config.problems import Problem, Source
from components.engine.client import shell_host
from components.engine.info import SNAPSHOTTER, EngineInfo


def build_host_problems(
    built: Collection[str], docker_host: str | None, source: Source
) -> Iterator[Problem]:
    """A problem where images would be built on another engine than they run on.

    BuildKit is reached by the Docker client's own settings, whatever `docker:host` is.
    """
    builder = shell_host()
    if docker_host and built and builder != docker_host:
        yield Problem(
            source.name,
            "docker:host",
            "images would be built on another engine, the one of DOCKER_HOST in this shell",
            found=repr(docker_host),
            allowed="allowed: the same in both, or llm-stack:imageDigests for "
            f"{', '.join(sorted(built))}",
            run=f"export DOCKER_HOST={docker_host}",
        )


def image_store_problems(built: Collection[str], info: EngineInfo | None) -> Iterator[Problem]:
    """A problem where the engine keeps images in containerd's store.

    The provider's builds fail there, or end without an image (pulumi-docker#967).
    """
    if not built or info is None or not info.containerd_images:
        return
    yield Problem(
        _settings_file(info),
        "features.containerd-snapshotter",
        "the Docker provider cannot build images in the containerd image store",
        found=f"{SNAPSHOTTER} in Docker {info.version}",
        allowed=f"allowed: false; {_way_out(info)}. Images and containers of the present store are "
        "not visible after that: stop the stacks on this engine first, and run pulumi up --refresh "
        "afterwards. To build nothing here, name the images of a registry in "
        f"llm-stack:imageDigests ({', '.join(sorted(built))})",
    )


def _settings_file(info: EngineInfo) -> str:
    if info.desktop:
        return "Docker Desktop"
    return "~/.config/docker/daemon.json" if info.rootless else "/etc/docker/daemon.json"


def _way_out(info: EngineInfo) -> str:
    if info.desktop:
        return "turn off: Settings, General, Use containerd for pulling and storing images"
    manager = "systemctl --user" if info.rootless else "systemctl"
    return (
        'put {"features": {"containerd-snapshotter": false}} into that file on the engine\'s '
        f"machine (merge it into what is there), run: {manager} restart docker"
    )
