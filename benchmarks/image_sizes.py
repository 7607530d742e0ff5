"""Image sizes of a stack compared with their targets: `python -m benchmarks.image_sizes`.

Compressed as in a registry: each layer separately, with gzip level 6. The base column is the size
of the layers shared with the base image.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import docker
from docker.models.images import Image

from toolchain.project import SUBSTITUTE_LABEL

MEGABYTE = 1_000_000
# Targets, compressed, in megabytes; None without a target.
TARGETS = {
    "chat": 120,
    "inference": 380,
    # The same image with the placeholder model in a separate layer.
    "inference-smollm2-135m": 380,
    "monitor": 30,
    "restarter": 30,
    "cloudflared": 30,
}
# The targets of sidecars do not include the base image that they share.
WITHOUT_BASE = {"monitor", "restarter", "cloudflared"}
BASES = ("python:3.11-slim", "ubuntu:24.04")


@dataclass(frozen=True)
class Size:
    """Bytes of one image, compressed: its own layers, and those of its base image."""

    name: str
    own: int
    base: int
    substitute_base: bool


class _Counter:
    """A file object that only counts the bytes written."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.bytes += len(data)
        return len(data)

    def flush(self) -> None: ...


def compressed(layer: IO[bytes]) -> int:
    """Bytes of a layer after gzip."""
    counter = _Counter()
    with gzip.GzipFile(fileobj=counter, mode="wb", compresslevel=6, mtime=0) as packed:
        while chunk := layer.read(1 << 20):
            packed.write(chunk)
    return counter.bytes


def layer_sizes(image: Image) -> Iterator[tuple[str, int]]:
    """The diff id of each layer of an image, with its compressed size."""
    with tempfile.TemporaryFile() as archive:
        for chunk in image.save():
            archive.write(chunk)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as saved:
            manifest = saved.extractfile("manifest.json")
            assert manifest is not None
            names = json.load(manifest)[0]["Layers"]
            for diff_id, name in zip(image.attrs["RootFS"]["Layers"], names, strict=True):
                layer = saved.extractfile(_target(saved, name))
                assert layer is not None
                yield diff_id, compressed(layer)


def _target(saved: tarfile.TarFile, name: str) -> str:
    """Resolve the link by which `docker save` stores a layer that another image has too."""
    member = saved.getmember(name)
    return str(Path(name).parent.joinpath(member.linkname)) if member.issym() else name


def measure(engine: docker.DockerClient, stack: str) -> Iterator[Size]:
    """Measure every image of a stack."""
    bases = {}
    for reference in BASES:
        base = engine.images.get(reference)
        bases.update(dict.fromkeys(base.attrs["RootFS"]["Layers"], base))
    for image in engine.images.list(filters={"reference": f"llm-stack-{stack}/*"}):
        name = image.tags[0].removeprefix(f"llm-stack-{stack}/").partition(":")[0]
        if not image.attrs["RootFS"].get("Layers"):
            continue
        sizes = dict(layer_sizes(image))
        shared = [layer for layer in sizes if layer in bases]
        base_bytes = sum(sizes[layer] for layer in shared)
        labels = [bases[layer].labels or {} for layer in shared]
        substitute = any(label.get(SUBSTITUTE_LABEL) for label in labels)
        yield Size(name, sum(sizes.values()) - base_bytes, base_bytes, substitute)


def table(sizes: list[Size]) -> str:
    """The sizes as a Markdown table, in megabytes."""
    lines = [
        "| image | own MB | base MB | total MB | target MB | counted | within |",
        "|---|---:|---:|---:|---:|---|---|",
    ]
    for size in sorted(sizes, key=lambda size: size.name):
        target = TARGETS.get(size.name)
        counted = size.own if size.name in WITHOUT_BASE else size.own + size.base
        verdict = "" if target is None else "yes" if counted <= target * MEGABYTE else "no"
        basis = "own" if size.name in WITHOUT_BASE else "total"
        mark = " (substitute)" if size.substitute_base else ""
        lines.append(
            f"| {size.name} | {size.own / MEGABYTE:.1f} | {size.base / MEGABYTE:.1f}{mark} "
            f"| {(size.own + size.base) / MEGABYTE:.1f} | {target or '-'} | {basis} | {verdict} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "stack", nargs="?", default="dev", help="stack whose images are measured (default: dev)"
    )
    stack = parser.parse_args().stack
    sizes = list(measure(docker.from_env(), stack))
    if not sizes:
        parser.exit(1, f"no image of stack {stack!r} on this engine; run ./dev up first\n")
    print(table(sizes))


if __name__ == "__main__":
    main()
