"""An image that others publish: found by its tag, pulled and run by its digest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_docker as docker

from components.config.compose.image_reference import digest_of, repository_of
from components.engine.client import docker_client

if TYPE_CHECKING:
    from docker import DockerClient

# Seconds for the engine to ask a registry.
REGISTRY_TIMEOUT = 30
_AT_ONCE = 8


@dataclass(frozen=True)
class FoundImage:
    """What a reference leads to."""

    name: str
    """`name@sha256:…`; the id of an image that the engine alone has."""
    warning: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether no registry has the image."""
        return self.name.startswith("sha256:")


@dataclass(frozen=True)
class MissingImage:
    """A reference that leads to no image, and what the engine says about it."""

    reason: str


def find_images(
    references: set[str], docker_host: str | None
) -> dict[str, FoundImage | MissingImage]:
    """Find each reference: what has no digest is looked up by the engine in its registry.

    The engine asks, not this machine: it has its own proxy, mirrors and authorities. Where it does
    not answer, tags stay as they are, and the provider reports why.
    """
    found: dict[str, FoundImage | MissingImage] = {
        reference: FoundImage(f"{repository_of(reference)}@{digest}")
        for reference in references
        if (digest := digest_of(reference))
    }
    tags = sorted(references - found.keys())
    if not tags:
        return found
    # Imported here: see components/engine/client.py.
    from docker.errors import DockerException

    try:
        client = docker_client(docker_host, REGISTRY_TIMEOUT)
    except (DockerException, OSError):
        return {**found, **{tag: FoundImage(tag) for tag in tags}}
    try:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            looked_up = threads.map(lambda tag: _find(client, tag), tags)
            return {**found, **dict(zip(tags, looked_up, strict=True))}
    finally:
        client.close()


def _find(client: DockerClient, reference: str) -> FoundImage | MissingImage:
    from docker.errors import APIError, DockerException

    try:
        published = client.images.get_registry_data(reference)
        return FoundImage(f"{repository_of(reference)}@{published.id}")
    except APIError as error:
        reason = str(error.explanation or error)
    except (DockerException, OSError) as error:
        reason = str(error)
    try:
        return _held(client.images.get(reference), reference, reason)
    except (DockerException, OSError):
        return MissingImage(reason)


def _held(image: Any, reference: str, reason: str) -> FoundImage:
    """The engine's own copy."""
    repository = repository_of(reference)
    digests = [one for one in image.attrs.get("RepoDigests") or () if _is_of(one, repository)]
    if digests:
        warning = f"{reference}: the engine's copy is used, its registry did not answer: {reason}"
        return FoundImage(f"{repository}@{digests[0].partition('@')[2]}", warning)
    return FoundImage(str(image.id))


def _is_of(digest: str, repository: str) -> bool:
    """Whether the engine's name of a digest is that of a repository, which it may shorten."""
    name = digest.partition("@")[0]
    return name == repository or repository in (f"docker.io/{name}", f"docker.io/library/{name}")


@dataclass(frozen=True)
class PublishedImageArgs:
    """Which image, and whether the nodes of a Swarm pull it, or the engine here."""

    image: FoundImage
    on_swarm: bool


class PublishedImage(pulumi.ComponentResource):
    """The image of a reference in the catalogue. A tag that has moved is another image."""

    reference: pulumi.Output[str]
    """What containers run."""

    def __init__(
        self, name: str, args: PublishedImageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:PublishedImage", name, None, opts)
        self.reference = pulumi.Output.from_input(args.image.name)
        if not (args.on_swarm or args.image.is_local):
            pulled = docker.RemoteImage(
                f"{name}-pull",
                name=args.image.name,
                # Removing one name of an image removes its digests too, also those in use.
                keep_locally=True,
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.reference = pulled.name
        self.register_outputs({"reference": self.reference})
