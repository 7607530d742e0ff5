"""`image` and `build`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from toolchain.compose.known_images import repository
from toolchain.compose.names import name_of
from toolchain.compose.outcome import Outcome
from toolchain.compose.yaml_file import Section

# Names in docker/ and app/ that are the stack's own.
_OWN_BUILDS = {"carrier", "chat", "cloudflared", "inference", "monitor", "restarter", "shared"}
_LOCAL_TAGS = {"local", "dev", "test", "build"}
_LOCAL_REGISTRIES = {"local", "localhost"}


def built_images(services: Mapping[str, Section]) -> dict[str, str]:
    """By image, the service of the file that builds it."""
    return {
        str(service["image"]): name
        for name, service in services.items()
        if service.get("build") and service.get("image") and not is_published(service["image"])
    }


def is_published(image: str) -> bool:
    """Whether a reference next to `build` is one that a registry has."""
    name, _, tag = image.partition("@")[0].rpartition(":")
    if not name or "/" in tag:
        name, tag = image, ""
    first = name.split("/")[0].partition(":")[0]
    parts = repository(image).split("/")
    return "/" in name and tag not in _LOCAL_TAGS and not {first, parts[0]} & _LOCAL_REGISTRIES


def build_name(service: str, project: str) -> str:
    """The name of what a service builds; the project's own images keep theirs."""
    return name_of(f"{project}-{service}") if service in _OWN_BUILDS else service


def apply_image(
    service: Section, built: Mapping[str, str], builds: Mapping[str, str], outcome: Outcome
) -> None:
    """Put `image`, or `build` with what is to be done for it.

    :param built: by image, the service that builds it.
    :param builds: by service, the name of what it builds.
    """
    image, build = service.get("image"), service.get("build")
    if image and image in built and built[image] != outcome.original:
        outcome.entry["build"] = builds[built[image]]
        outcome.change("image", f"{image} is built here, as for {built[image]}")
    elif image and (not build or is_published(image)):
        _apply_reference(image, outcome)
        if build:
            outcome.change("build", f"left out: {image} is published")
    elif build:
        _apply_build(build, builds[outcome.original], outcome)
    else:
        outcome.refuse("image", "has neither image nor build", "add one to the compose file")


def _apply_reference(image: str, outcome: Outcome) -> None:
    if not re.fullmatch(r"[\w.:/@-]+", image) or image.endswith((":", "@", "/")):
        outcome.refuse(
            "image", "the reference is not complete", "set its variables, or write it out"
        )
        return
    tail = image.rpartition("/")[2]
    if ":" in tail or "@" in tail:
        outcome.carry("image", image)
        return
    outcome.entry["image"] = f"{image}:latest"
    outcome.change("image", f"{image}:latest, the default tag written out; a version is better")


def _apply_build(build: Section, name: str, outcome: Outcome) -> None:
    outcome.entry["build"] = name
    outcome.change("build", f"docker/{name}.Dockerfile, with the context app/{name}")
    context = Path(str(build["context"]))
    given = build.get("dockerfile") or "Dockerfile"
    if re.match(r"[a-z+]+://|git@", str(build["context"]).rpartition("//")[2]) or "://" in str(
        context
    ):
        outcome.todo.append(
            f"needs a Dockerfile: get the context, then create docker/{name}.Dockerfile"
        )
        return
    context = Path(re.sub(r"/\.?$", "", str(context.resolve())))
    copy = [
        f"cp {shlex.quote(str(context / given))} docker/{name}.Dockerfile",
        f"cp -r {shlex.quote(str(context))} app/{name}",
    ]
    if build.get("dockerfile_inline"):
        copy[0] = f"write dockerfile_inline to docker/{name}.Dockerfile"
    outcome.todo.append("\n".join(["needs a Dockerfile:", *copy]))
    for key in ("args", "target", "additional_contexts", "secrets", "ssh"):
        if build.get(key):
            outcome.lose(
                f"build.{key}", "builds have no such setting here", "write it into the Dockerfile"
            )
