"""An image of the stack, built by the engine from a folder of this project."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_docker as docker

from .build_context import context_digest
from .plan import CONNECTOR
from .settings import BaseImages

# BuildKit's progress goes here while `pulumi up` builds: `tail -f logs/<image>.log`.
BUILD_LOGS = Path("logs")


@dataclass(frozen=True)
class ServiceImageArgs:
    """What to build: `context` and `dockerfile` are paths relative to the project."""

    repository: str
    context: Path
    dockerfile: Path
    build_args: Mapping[str, str]


class ServiceImage(pulumi.ComponentResource):
    """Builds one image, and builds it again only when its context, Dockerfile or arguments change.

    Its tag is the digest of the context, so that a preview names exactly the images that change.
    """

    image_id: pulumi.Output[str]
    """The engine's own `sha256:…`: what containers run, so that a moved tag changes nothing."""

    def __init__(
        self, name: str, args: ServiceImageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:ServiceImage", name, None, opts)
        digest = context_digest(args.context, args.dockerfile, args.build_args)
        image = docker.RemoteImage(
            f"{name}-build",
            name=f"{args.repository}:{digest[:12]}",
            build=docker.RemoteImageBuildArgs(
                context=args.context.as_posix(),
                # The provider resolves it against the context, not the project.
                dockerfile=os.path.relpath(args.dockerfile, args.context),
                build_args=dict(args.build_args),
                build_log_file=(BUILD_LOGS / f"{name}.log").as_posix(),
            ),
            triggers={"context": digest},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.image_id = image.image_id
        self.register_outputs({"image_id": self.image_id})


def image_args(image: str, stack: str, base_images: BaseImages) -> ServiceImageArgs:
    """Where the sources of an image lie: `app/<image>` and `docker/<image>.Dockerfile`."""
    context, build_args = Path("app") / image, {"BASE_IMAGE": base_images.python}
    if image == "carrier":
        context, build_args = Path("docker"), {}
    elif image == CONNECTOR:
        context = Path("docker")
        build_args = {
            "BASE_IMAGE": base_images.ubuntu,
            "CLOUDFLARED_IMAGE": base_images.cloudflared,
        }
    elif image == "monitor":
        build_args = {"BASE_IMAGE": base_images.ubuntu}
    return ServiceImageArgs(
        repository=f"llm-stack-{stack}/{image}",
        context=context,
        dockerfile=Path("docker") / f"{image}.Dockerfile",
        build_args=build_args,
    )
