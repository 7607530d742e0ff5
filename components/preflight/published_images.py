"""Whether the images that others publish can be had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pulumi

from components.config.problems import Problem, Source
from components.images.published_image import FoundImage, MissingImage, find_images
from components.plan.plan import Plan


def published_images(
    plan: Plan, docker_host: str | None
) -> tuple[Mapping[str, FoundImage], list[Problem]]:
    """What each reference of the stack leads to, and those that lead nowhere."""
    found = find_images(plan.published_images, docker_host)
    problems = [
        source.problem(
            path,
            f"the engine cannot find the image: {image.reason}",
            found=reference,
            allowed="allowed: an image of a registry that the engine reaches, or one that it has",
            run=f"docker pull {reference}",
        )
        for source, path, reference in _references(plan)
        if isinstance(image := found[reference], MissingImage)
    ]
    images = {key: one for key, one in found.items() if isinstance(one, FoundImage)}
    for one in images.values():
        if one.warning:
            pulumi.log.warn(one.warning)
    return images, problems


def _references(plan: Plan) -> Iterator[tuple[Source, tuple[str, ...], str]]:
    """The published images, and where each is written."""
    for name, workload in plan.workloads.items():
        if workload.published:
            yield plan.catalogue.source_of(name), ("services", name, "image"), workload.image
    if plan.connector_image:
        yield plan.source, ("tunnel", "image"), plan.connector_image
