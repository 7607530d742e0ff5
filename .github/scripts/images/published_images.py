"""Lists what the images workflow builds: published_images.py matrix|references|server STACK...

matrix: JSON for a job's strategy.matrix, one entry for each image and platform;
references: a line for each image: its name, its multi-platform reference, one reference for each
platform;
server: the registries that the stacks use.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(PROJECT_ROOT))

from components.config.files import read_mapping, stack_source  # noqa: E402
from components.config.problems import Problem, SettingsError  # noqa: E402
from components.config.registry import RegistrySettings  # noqa: E402
from components.config.schema import read  # noqa: E402
from components.config.stack_settings import PROJECT, BaseImages  # noqa: E402
from components.images.image import image_repository, image_tag  # noqa: E402
from components.images.image_sources import ImageSources, image_names, image_sources  # noqa: E402

# GitHub's runners of each platform: compiling under emulation would take hours.
RUNNERS = {"linux/amd64": "ubuntu-24.04", "linux/arm64": "ubuntu-24.04-arm"}


@dataclass(frozen=True)
class PublishedImage:
    """An image of a stack that is pushed to a registry."""

    name: str
    registry: RegistrySettings
    sources: ImageSources

    @property
    def repository(self) -> str:
        """Registry, repository and image name, without a tag."""
        return image_repository(self.name, self.registry)

    @property
    def reference(self) -> str:
        """The multi-platform reference."""
        return f"{self.repository}:{image_tag(self.sources)}"

    @property
    def by_platform(self) -> dict[str, str]:
        """The reference for each platform."""
        return {
            platform: f"{self.repository}:{image_tag(self.sources, platform)}"
            for platform in self.registry.platforms
        }


def published_images(stack: str) -> Iterator[PublishedImage]:
    """Every image of a stack with a registry; raises `SettingsError`."""
    path = Path(f"Pulumi.{stack}.yaml")
    if not path.exists():
        raise SettingsError([Problem(path.name, "", "does not exist", found=repr(stack))])
    _, content = read_mapping(path, ("config",))
    config = content.get("config") or {}
    if f"{PROJECT}:registry" not in config:
        return
    source = stack_source(stack, PROJECT)
    registry = read(RegistrySettings, config[f"{PROJECT}:registry"], source, at=("registry",))
    base_images = read(
        BaseImages, config.get(f"{PROJECT}:baseImages") or {}, source, at=("baseImages",)
    )
    problems = (*registry.problems, *base_images.problems)
    if problems or registry.value is None or base_images.value is None:
        raise SettingsError(problems)
    for name in image_names():
        yield PublishedImage(name, registry.value, image_sources(name, base_images.value))


def matrix(images: Iterable[PublishedImage]) -> str:
    """One job for each image and platform; stacks that share an image share the job."""
    jobs = {
        reference: {
            "image": image.name,
            "platform": platform,
            "runner": RUNNERS[platform],
            "server": image.registry.server,
            "reference": reference,
            "cache": f"{image.repository}:cache-{platform.rpartition('/')[2]}",
            "context": image.sources.context.as_posix(),
            "dockerfile": image.sources.dockerfile.as_posix(),
            "arguments": "\n".join(f"{k}={v}" for k, v in image.sources.build_args.items()),
        }
        for image in images
        for platform, reference in image.by_platform.items()
    }
    return json.dumps({"include": list(jobs.values())})


def references(images: Iterable[PublishedImage]) -> str:
    """A line for each image; stacks that share an image share the line."""
    lines = {" ".join([i.name, i.reference, *i.by_platform.values()]) for i in images}
    return "\n".join(sorted(lines))


def server(images: Iterable[PublishedImage]) -> str:
    """A line for each registry."""
    return "\n".join(sorted({image.registry.server for image in images}))


COMMANDS = {"matrix": matrix, "references": references, "server": server}


def main(arguments: list[str]) -> int:
    """Run one command; return the exit code."""
    if len(arguments) < 2 or arguments[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    command, *stacks = arguments
    try:
        print(COMMANDS[command]([i for stack in stacks for i in published_images(stack)]))
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
