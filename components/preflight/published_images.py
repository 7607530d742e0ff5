"""Whether the images that others publish can be had."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.config.problems import Problem
from components.images.published_image import FoundImage, MissingImage, find_images
from components.plan.plan import Plan


def published_images(
    plan: Plan, docker_host: str | None
) -> tuple[Mapping[str, FoundImage], list[Problem]]:
    """What each reference of the catalogue leads to, and those that lead nowhere."""
    found = find_images(plan.published_images, docker_host)
    problems = []
    for name, workload in plan.workloads.items():
        image = found.get(workload.image) if workload.published else None
        if isinstance(image, MissingImage):
            problems.append(
                plan.catalogue.source_of(name).problem(
                    ("services", name, "image"),
                    f"the engine cannot find the image: {image.reason}",
                    found=workload.image,
                    allowed="allowed: an image of a registry that the engine reaches, or one that "
                    "it has",
                    run=f"docker pull {workload.image}",
                )
            )
    images = {key: one for key, one in found.items() if isinstance(one, FoundImage)}
    for one in images.values():
        if one.warning:
            pulumi.log.warn(one.warning)
    return images, problems
