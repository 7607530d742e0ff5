"""An image of the stack: built here, built and pushed, or given by its digest."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.config.network_access import (
    BUNDLE_SECRET,
    PROXY_VARIABLES,
    NetworkAccess,
    write_bundle,
)
from components.config.registry import Platform, RegistrySettings
from components.config.stack_settings import StackSettings
from components.images.image_sources import ImageSources, LlamaEngine, image_sources

# BuildKit's progress goes here while `pulumi up` builds: `tail -f logs/<image>.log`.
BUILD_LOGS = Path("logs")
# How a build reaches the internet decides nothing of what it makes, so neither the tag nor the
# trigger holds it, and a change of it alone builds nothing. The provider would replace an image for
# any change of `build`, hence the list. Once the sources change, the replacement is made of the
# program's own values, these included: what is ignored counts in the comparison only.
NOT_COMPARED = [*(f"build.buildArgs.{name}" for name in PROXY_VARIABLES), "build.secrets"]


@dataclass(frozen=True)
class ServiceImageArgs:
    """What to build, and under which name."""

    repository: str
    sources: ImageSources
    platform: Platform | None = None
    """None builds for the engine's own; another one needs an engine that can emulate it."""
    push: bool = False
    """Whether the image goes to the registry that `repository` names."""
    digest: str | None = None
    """Of an image that the registry holds, or the engine where there is none: nothing is built."""
    network_access: NetworkAccess = field(default_factory=NetworkAccess)
    """How the build reaches the internet; no part of `sources`."""


class ServiceImage(pulumi.ComponentResource):
    """One image, built again only when its context, Dockerfile or arguments change.

    Its tag is the digest of its sources, so that a preview names exactly the images that change.
    What went to a registry stays there, and on the engine, when the stack moves on. What was only
    built goes, unless components/images/served_versions.py has named it too.
    """

    reference: pulumi.Output[str]
    """What containers run: the engine's own `sha256:…`, or `name@sha256:…` of a registry.

    A tag that moves changes neither.
    """

    def __init__(
        self, name: str, args: ServiceImageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:ServiceImage", name, None, opts)
        self._name, self._args = name, args
        if args.digest:
            self.reference = (
                self._pulled(args.digest) if args.push else pulumi.Output.from_input(args.digest)
            )
        else:
            built = self._built()
            self.reference = self._pushed(built) if args.push else built.image_id
        self.register_outputs({"reference": self.reference})

    def _built(self) -> docker.RemoteImage:
        args, sources = self._args, self._args.sources
        return docker.RemoteImage(
            f"{self._name}-build",
            name=f"{args.repository}:{image_tag(sources, args.platform)}",
            build=docker.RemoteImageBuildArgs(
                context=sources.context.as_posix(),
                # The provider resolves it against the context, not the project.
                dockerfile=os.path.relpath(sources.dockerfile, sources.context),
                build_args={**sources.build_args, **args.network_access.proxy_variables()},
                secrets=self._build_secrets(),
                build_log_file=(BUILD_LOGS / f"{self._name}.log").as_posix(),
                platform=args.platform,
            ),
            triggers={"context": sources.digest},
            keep_locally=args.push or None,
            # A container that someone else started from the image keeps it; only our name goes.
            force_remove=True,
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=NOT_COMPARED),
        )

    def _build_secrets(self) -> list[docker.RemoteImageBuildSecretArgs] | None:
        """The company's authorities: only the steps that mount a build secret can read it."""
        authorities = self._args.network_access.authorities
        if authorities is None:
            return None
        bundle = write_bundle(authorities).as_posix()
        return [docker.RemoteImageBuildSecretArgs(id=BUNDLE_SECRET, src=bundle)]

    def _pushed(self, built: docker.RemoteImage) -> pulumi.Output[str]:
        pushed = docker.RegistryImage(
            f"{self._name}-push",
            name=built.name,
            keep_remotely=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[built]),
        )
        return pulumi.Output.concat(self._args.repository, "@", pushed.sha256_digest)

    def _pulled(self, digest: str) -> pulumi.Output[str]:
        pulled = docker.RemoteImage(
            f"{self._name}-pull",
            name=f"{self._args.repository}@{digest}",
            # Removing one name of an image removes its digests too, also those in use.
            keep_locally=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return pulled.name


def image_args(image: str, stack: str, settings: StackSettings) -> ServiceImageArgs:
    """What the settings make of an image."""
    registry = settings.registry
    # An image that nothing pushes runs on the machine that builds it.
    engine = LlamaEngine(settings.engine_source, cpu_variants="all" if registry else "host")
    return ServiceImageArgs(
        repository=image_repository(image, registry) if registry else f"llm-stack-{stack}/{image}",
        sources=image_sources(image, settings.base_images, engine),
        platform=registry.platforms[0] if registry else None,
        push=registry is not None,
        digest=settings.image_digests.get(image),
        network_access=settings.network_access,
    )


def image_repository(image: str, registry: RegistrySettings) -> str:
    """The name of an image in the registry, without tag."""
    return f"{registry.server}/{registry.repository}/{image}"


def image_tag(sources: ImageSources, platform: Platform | None = None) -> str:
    """The tag of an image, from its sources and its platform; None for all platforms."""
    architecture = f"-{platform.rpartition('/')[2]}" if platform else ""
    return sources.digest[:12] + architecture
