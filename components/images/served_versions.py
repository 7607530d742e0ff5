"""The names under which an engine holds the versions of a stack's images that have served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime

import docker

from components.engine.client import docker_client
from components.images.kept_versions import SERVED

MOMENT = "%Y%m%dT%H%M%SZ"


def keep_version(
    serving: Mapping[str, str], stack: str, keep: int, docker_host: str | None
) -> None:
    """Name the images that serve, unless they are a version that has its names already."""
    client = docker_client(docker_host)
    try:
        images = {name: client.images.get(reference) for name, reference in serving.items()}
        ids = {name: str(image.id) for name, image in images.items()}
        known = named_versions(client, stack)
        if ids not in known.values():
            moment = datetime.now(UTC).strftime(MOMENT)
            known[moment] = ids
            for name, image in images.items():
                image.tag(_repository(stack, name), SERVED + moment)
        for moment in superfluous(known, ids, keep):
            for name in known[moment]:
                _let_go(client, f"{_repository(stack, name)}:{SERVED}{moment}")
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
