"""Image sizes of a stack beside the targets of the design: `python -m benchmarks.image_sizes`.

Compressed as a registry would keep them: each layer by itself, with gzip at its usual level 6.
The base column is what the image shares with the image it is built on.
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

MEGABYTE = 1_000_000
# Targets of the source design, compressed, in megabytes; None where it names none.
TARGETS = {
    "chat": 120,
    "inference": 380,
    # The same with the demo model in a layer of its own.
    "inference-smollm2-135m": 380,
    "monitor": 30,
    "restarter": 30,
    "cloudflared": 30,
}
# The design gives its sidecars' sizes without the base image that they share.
WITHOUT_BASE = {"monitor", "restarter", "cloudflared"}
BASES = ("python:3.11-slim", "ubuntu:24.04")


@dataclass(frozen=True)
class Size:
    """Bytes of one image, compressed: its own layers, and those of its base image."""

    name: str
    own: int
    base: int
    stand_in_base: bool


class _Counter:
    """A file that forgets everything but its length."""

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
    """A layer that another image has too is saved as a link to that one."""
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
        stand_in = any(label.get("llm-stack.stand-in") for label in labels)
        yield Size(name, sum(sizes.values()) - base_bytes, base_bytes, stand_in)


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
        mark = " (stand-in)" if size.stand_in_base else ""
        lines.append(
            f"| {size.name} | {size.own / MEGABYTE:.1f} | {size.base / MEGABYTE:.1f}{mark} "
            f"| {(size.own + size.base) / MEGABYTE:.1f} | {target or '-'} | {basis} | {verdict} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack", nargs="?", default="dev", help="whose images (default: dev)")
    stack = parser.parse_args().stack
    sizes = list(measure(docker.from_env(), stack))
    if not sizes:
        parser.exit(1, f"no image of stack {stack!r} on this engine; run ./dev up first\n")
    print(table(sizes))


if __name__ == "__main__":
    main()
