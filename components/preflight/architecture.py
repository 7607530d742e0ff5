"""Whether the images that a stack names are for the processor of the engine's machine.

An update would otherwise replace a container that serves by one whose program cannot start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pulumi

from components.config.problems import Problem
from components.engine.info import EngineInfo
from components.engine.platforms import ImagePlatforms, image_platforms, runnable
from components.images.image import image_repository
from components.images.published_image import FoundImage
from components.plan.plan import Plan

# Where Linux lists the programs that run files of other processors (binfmt_misc).
HANDLERS = Path("/proc/sys/fs/binfmt_misc")
_EMULATED = {"arm64": "aarch64", "amd64": "x86_64"}


def architecture_problems(
    plan: Plan,
    found: Mapping[str, FoundImage],
    docker_host: str | None,
    info: EngineInfo | None,
    local: bool,
) -> Iterator[Problem]:
    """A problem for each image that the engine's machine cannot run.

    A Swarm's nodes are other machines. Docker Desktop emulates other processors.

    :param found: the published images, by their reference in the catalogue.
    :param local: whether the engine runs on this machine, whose emulation can be looked up.
    """
    if info is None or not info.architecture or plan.on_swarm or info.desktop:
        return
    own = runnable(info.architecture)[0]
    yield from _built_problems(plan, own, local)
    places = list(_places(plan, found))
    platforms = image_platforms({image for _, image in places}, docker_host)
    for problem_at, image in places:
        known = platforms.get(image)
        if known is None or known.fits(info.architecture):
            continue
        text = f"is for another processor than the engine's, {own}"
        if known.chosen_by_engine or (local and not _is_emulated(known)):
            yield problem_at(f"{text}; it is for {', '.join(known.names)}", f"linux/{own}")
        elif not local:
            pulumi.log.warn(
                f"{image} {text}; it runs only where that machine emulates {known.names[0]}"
            )


ProblemAt = Callable[[str, str], Problem]
"""Makes the problem of an image, at its place in a file, from a text and a platform."""


def _places(plan: Plan, found: Mapping[str, FoundImage]) -> Iterator[tuple[ProblemAt, str]]:
    for name, workload in plan.workloads.items():
        if workload.published and workload.image in found:
            yield _in_catalogue(plan, name, workload.image), found[workload.image].name
    registry = plan.settings.registry
    for name, digest in plan.settings.image_digests.items():
        if name in plan.images:
            image = f"{image_repository(name, registry)}@{digest}" if registry else digest
            yield _in_settings(plan, name, digest), image


def _in_catalogue(plan: Plan, service: str, image: str) -> ProblemAt:
    return lambda text, platform: plan.catalogue.source_of(service).problem(
        ("services", service, "image"),
        text,
        found=image,
        allowed=f"allowed: an image for {platform}",
        run=f"docker manifest inspect {image}",
    )


def _in_settings(plan: Plan, image: str, digest: str) -> ProblemAt:
    key = ("imageDigests", image)
    return lambda text, platform: plan.source.problem(
        key,
        text,
        found=digest,
        allowed=f"allowed: an image for {platform}",
        run=plan.source.remove_command(key),
    )


def _built_problems(plan: Plan, own: str, local: bool) -> Iterator[Problem]:
    """A problem where images are built here for another processor."""
    registry = plan.settings.registry
    if registry is None or not (plan.images - plan.settings.image_digests.keys()):
        return
    platform = registry.platforms[0]
    built = ImagePlatforms((platform,))
    if built.fits(own) or not local or _is_emulated(built):
        return
    yield plan.source.problem(
        ("registry", "platforms", 0),
        f"is for another processor than the engine's, {own}, which builds and runs its images",
        found=platform,
        allowed=f"allowed: linux/{own} first",
        run=f"pulumi config set --path 'llm-stack:registry.platforms[0]' linux/{own}",
    )


def _is_emulated(platforms: ImagePlatforms) -> bool:
    """Whether this machine has a program that runs what is made for one of the platforms."""
    try:
        handlers = [one.name for one in HANDLERS.iterdir()]
    except OSError:
        return False
    wanted = {name.partition("/")[2] for name in platforms.names}
    wanted = {_EMULATED.get(one, one) for one in wanted}
    return any(handler.endswith(f"-{one}") for handler in handlers for one in wanted)
