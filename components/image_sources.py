"""Where the sources of each image lie, and what it is built on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .build_context import context_digest
from .settings import BaseImages

DOCKERFILES = Path("docker")
# The inference image with one more backend, from the same Dockerfile.
CUDA_INFERENCE = "inference-cuda"


@dataclass(frozen=True)
class ImageSources:
    """All that decides what an image holds; paths are relative to the project."""

    context: Path
    dockerfile: Path
    build_args: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """SHA-256; changes whenever the image has to be built again."""
        return context_digest(self.context, self.dockerfile, self.build_args)


def image_names() -> list[str]:
    """Every image that this project can build and that runs anywhere."""
    return sorted(path.stem for path in DOCKERFILES.glob("*.Dockerfile"))


def image_sources(image: str, base_images: BaseImages) -> ImageSources:
    """`app/<image>` and `docker/<image>.Dockerfile`, but for images without a program of ours.

    Those have nothing of the project in their context.
    """
    context, build_args = Path("app") / image, {"BASE_IMAGE": base_images.python}
    dockerfile = DOCKERFILES / f"{image}.Dockerfile"
    match image:
        case "carrier":
            context, build_args = DOCKERFILES, {}
        case "cloudflared":
            context = DOCKERFILES
            build_args = {
                "BASE_IMAGE": base_images.ubuntu,
                "CLOUDFLARED_IMAGE": base_images.cloudflared,
            }
        case "monitor":
            build_args = {"BASE_IMAGE": base_images.ubuntu}
        case "inference-cuda":
            context, dockerfile = Path("app") / "inference", DOCKERFILES / "inference.Dockerfile"
            build_args |= {"ENGINE": "cuda", "CUDA_IMAGE": base_images.cuda}
        case _ if not context.is_dir():
            context, build_args = DOCKERFILES, {"BASE_IMAGE": base_images.ubuntu}
    return ImageSources(context, dockerfile, build_args)
