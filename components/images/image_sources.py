"""The sources of each image: its build context, Dockerfile and build arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from components.config.model import BUNDLED_MODELS
from components.config.stack_settings import BaseImages, EngineSource
from components.images.build_context import context_digest

APP = Path("app")
# What the images of app/ have in common; the restarter does without.
SHARED = "shared"
DOCKERFILES = Path("docker")
INFERENCE = "inference"
# Without a registry an image runs on the processor that it is built on.
CpuVariants = Literal["host", "all"]


@dataclass(frozen=True)
class ImageSources:
    """All that decides what an image holds; paths are relative to the project."""

    context: Path
    dockerfile: Path
    build_args: Mapping[str, str]
    folders: tuple[str, ...] = ()
    """The folders of the context that the Dockerfile copies; none for all of it."""

    @cached_property
    def digest(self) -> str:
        """SHA-256; changes whenever the image has to be built again."""
        return context_digest(self.context, self.dockerfile, self.build_args, self.folders)


@dataclass(frozen=True)
class LlamaEngine:
    """Where llama-server comes from, and which processors a compiled one is made for."""

    source: EngineSource = EngineSource.PUBLISHED
    cpu_variants: CpuVariants = "all"


@dataclass(frozen=True)
class InferenceImage:
    """One of the images that docker/inference.Dockerfile can build."""

    cuda: bool = False
    bundled_model: str | None = None

    @property
    def name(self) -> str:
        """Such as `inference`, `inference-cuda` or `inference-smollm2-135m`."""
        parts = (INFERENCE, "cuda" if self.cuda else None, self.bundled_model)
        return "-".join(filter(None, parts))

    def build_args(self, base_images: BaseImages, engine: LlamaEngine) -> dict[str, str]:
        """Those that decide what the image holds, and no others: each enters the image's tag."""
        args = {
            "ENGINE_SOURCE": engine.source.value,
            "ENGINE": "cuda" if self.cuda else "cpu",
            "BUNDLED_MODEL": self.bundled_model or "none",
        }
        if engine.source is EngineSource.COMPILED:
            args["CPU_VARIANTS"] = engine.cpu_variants
            return args | ({"CUDA_IMAGE": base_images.cuda} if self.cuda else {})
        if self.cuda:
            return args | {"LLAMA_CUDA_IMAGE": base_images.llama_cuda}
        return args | {"LLAMA_IMAGE": base_images.llama}


def inference_images() -> dict[str, InferenceImage]:
    """Every image that docker/inference.Dockerfile can build, by name."""
    images = [
        InferenceImage(cuda, bundled)
        for cuda in (False, True)
        for bundled in (None, *BUNDLED_MODELS)
    ]
    return {image.name: image for image in images}


def image_names() -> list[str]:
    """Every image with its own Dockerfile."""
    return sorted(path.stem for path in DOCKERFILES.glob("*.Dockerfile"))


def image_sources(
    image: str, base_images: BaseImages, engine: LlamaEngine | None = None
) -> ImageSources:
    """What an image is built from.

    Our programs share the context `app/`, of which each image copies its own folder and the shared
    one. An image of the user's has `app/<image>` where there is such a folder; without a program it
    has nothing of the project in its context.
    """
    dockerfile = DOCKERFILES / f"{image}.Dockerfile"
    python, ubuntu = {"BASE_IMAGE": base_images.python}, {"BASE_IMAGE": base_images.ubuntu}
    if inference := inference_images().get(image):
        dockerfile = DOCKERFILES / f"{INFERENCE}.Dockerfile"
        args = python | inference.build_args(base_images, engine or LlamaEngine())
        return ImageSources(APP, dockerfile, args, (INFERENCE, SHARED))
    match image:
        case "chat":
            return ImageSources(APP, dockerfile, python, ("chat", SHARED))
        case "monitor":
            return ImageSources(APP, dockerfile, ubuntu, ("monitor", SHARED))
        case "restarter":
            return ImageSources(APP, dockerfile, python, ("restarter",))
        case "carrier":
            return ImageSources(DOCKERFILES, dockerfile, {})
        case "cloudflared":
            args = ubuntu | {"CLOUDFLARED_IMAGE": base_images.cloudflared}
            return ImageSources(DOCKERFILES, dockerfile, args)
    if (own := APP / image).is_dir():
        return ImageSources(own, dockerfile, python)
    return ImageSources(DOCKERFILES, dockerfile, ubuntu)
