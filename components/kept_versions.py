"""Versions of a stack's images that have served, kept on the engine by name: the way back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import docker
import pulumi

from .engine import answer_of, asked, engine
from .gate import Gate
from .schema import SettingsError

# The tag of each image of a version, before the moment at which the version first served.
SERVED = "served-"
MOMENT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class KeptVersionsArgs:
    """The images of this version, and how many earlier versions stay beside it."""

    stack: str
    images: Mapping[str, pulumi.Input[str]]
    keep: int
    docker_host: str | None = None


class KeptVersions(Gate):
    """Names what serves as `llm-stack-<stack>/<image>:served-<moment>`, and lets go of the oldest.

    It depends on everything that must be healthy, so a version that never served is never named. An
    image goes from the engine with its last name, unless a container uses it.
    """

    def __init__(
        self, name: str, args: KeptVersionsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        async def keep(hook: pulumi.ResourceHookArgs) -> None:
            serving = (hook.new_inputs or {})["input"]["images"]
            await asked(keep_version, serving, args)

        serving = {"images": dict(args.images), "keep": args.keep}
        super().__init__(name, serving, keep, opts)


def keep_version(serving: Mapping[str, str], args: KeptVersionsArgs) -> None:
    """Name the images that serve, unless they are a version that has its names already."""
    client = engine(args.docker_host)
    try:
        images = {name: client.images.get(reference) for name, reference in serving.items()}
        ids = {name: str(image.id) for name, image in images.items()}
        known = named_versions(client, args.stack)
        if ids not in known.values():
            moment = datetime.now(UTC).strftime(MOMENT)
            known[moment] = ids
            for name, image in images.items():
                image.tag(_repository(args.stack, name), SERVED + moment)
        for moment in superfluous(known, ids, args.keep):
            for name in known[moment]:
                _let_go(client, f"{_repository(args.stack, name)}:{SERVED}{moment}")
    finally:
        client.close()


def superfluous(
    versions: Mapping[str, Mapping[str, str]], serving: Mapping[str, str], keep: int
) -> list[str]:
    """Moments of the versions beyond the `keep` newest ones beside the one that serves."""
    others = sorted(moment for moment, ids in versions.items() if ids != serving)
    return others[: max(0, len(others) - keep)]


def named_versions(client: docker.DockerClient, stack: str) -> dict[str, dict[str, str]]:
    """By moment: the engine's id of each image of a version."""
    versions: dict[str, dict[str, str]] = defaultdict(dict)
    for image in client.images.list(filters={"reference": _repository(stack, f"*:{SERVED}*")}):
        for tag in image.tags:
            repository, _, version = tag.rpartition(":")
            if repository.startswith(_repository(stack, "")) and version.startswith(SERVED):
                name = repository.removeprefix(_repository(stack, ""))
                versions[version.removeprefix(SERVED)][name] = str(image.id)
    return dict(versions)


def ensure_pins_are_held(pins: Mapping[str, str], docker_host: str | None, source: str) -> None:
    """See that the engine holds each pinned image; raises `SettingsError` where it does not.

    For a stack without registry, which can fetch them from nowhere. Of an engine that cannot be
    reached the provider complains.
    """
    if not pins:
        return
    held = answer_of(docker_host, lambda client: set(client.api.images(quiet=True)))
    if held is None:
        return
    problems = [
        f"{source}: llm-stack:imageDigests.{name}: the engine holds no such image; found "
        f"{image!r}, allowed: an id that `docker image ls --no-trunc` shows, or none: "
        f"pulumi config rm --path llm-stack:imageDigests.{name}"
        for name, image in pins.items()
        if image not in held
    ]
    if problems:
        raise SettingsError(problems)


def _let_go(client: docker.DockerClient, name: str) -> None:
    try:
        client.images.remove(name)
    except docker.errors.ImageNotFound:
        return
    except docker.errors.APIError as error:
        # A container uses it, and it has no other name.
        if error.status_code != 409:
            raise


def _repository(stack: str, image: str) -> str:
    return f"llm-stack-{stack}/{image}"
