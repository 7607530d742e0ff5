"""Speed of a stack's model server and plain llama-server: `python -m benchmarks.generation`.

Both are the same binary with the same model, SmolLM2-135M-Instruct: once as a stack runs it (the
image's entrypoint, a CPU limit, the hardening), once with llama-server's defaults. They answer in
turns, first on an idle machine, then with two busy loops. Two starts of the same server differ by
up to a tenth, so each is started several times. Prints a Markdown table of tokens per second: the
median of the starts, of which each counts with the median of its rounds.

`--variant NAME:VARIABLE=VALUE[,…]` adds the stack's container with other environment variables.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import docker
from docker.models.containers import Container

MODEL_FILE = "/opt/models/smollm2-135m.gguf"
PORT = 8000
CONTEXT = 2048
PROMPT = "The quick brown fox jumps over the lazy dog. " * 40
START_SECONDS = 120


@dataclass(frozen=True)
class Variant:
    """One way to run llama-server."""

    name: str
    environment: dict[str, str]
    bare: bool = False


@dataclass(frozen=True)
class Speed:
    """Tokens per second of one answer."""

    prompt: float
    generation: float


def main() -> None:
    options = _options()
    client = docker.from_env()
    image = options.image or demo_image(client)
    variants = [Variant("plain llama-server", {}, bare=True), Variant("stack's container", {})]
    variants += options.variant
    quiet: dict[str, list[Speed]] = {variant.name: [] for variant in variants}
    busy: dict[str, list[Speed]] = {variant.name: [] for variant in variants}
    for start in range(options.starts):
        # Not the same one first each time.
        turn = [*variants[start % len(variants) :], *variants[: start % len(variants)]]
        _measure_start(client, image, turn, options, quiet, busy)
        print(f"start {start + 1} of {options.starts} measured", file=sys.stderr)
    print(_table(quiet, busy, options))


def _measure_start(
    client: docker.DockerClient,
    image: str,
    variants: Sequence[Variant],
    options: argparse.Namespace,
    quiet: Mapping[str, list[Speed]],
    busy: Mapping[str, list[Speed]],
) -> None:
    """Start each server once, and add its speed to both results."""
    with contextlib.ExitStack() as stack:
        containers = [
            stack.enter_context(_server(client, image, variant, options.cpus))
            for variant in variants
        ]
        urls = [container_url(container) for container in containers]
        for url in urls:
            wait_until_ready(url)
            _ask(url, tokens=16)
        for variant, speed in zip(variants, _rounds(urls, options), strict=True):
            quiet[variant.name].append(speed)
        with _busy_loops(options.loops):
            for variant, speed in zip(variants, _rounds(urls, options), strict=True):
                busy[variant.name].append(speed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generation", description=__doc__)
    parser.add_argument("--image", help="an inference image that contains smollm2-135m")
    parser.add_argument(
        "--cpus", type=float, default=os.cpu_count(), help="CPU limit of a container"
    )
    parser.add_argument("--starts", type=int, default=5, help="starts of each server")
    parser.add_argument("--rounds", type=int, default=3, help="answers of each start")
    parser.add_argument("--tokens", type=int, default=128, help="tokens per answer")
    parser.add_argument("--loops", type=int, default=2, help="busy loops in the second half")
    parser.add_argument("--variant", type=_variant, action="append", default=[])
    return parser.parse_args()


def _variant(text: str) -> Variant:
    name, _, settings = text.partition(":")
    return Variant(name, dict(pair.split("=", 1) for pair in settings.split(",") if pair))


def demo_image(client: docker.DockerClient) -> str:
    """The newest image of the dev stack that contains the model."""
    images = client.images.list("llm-stack-dev/inference-smollm2-135m")
    if not images:
        raise SystemExit("error: no image contains smollm2-135m; run ./dev up or pass --image")
    return str(max(images, key=lambda image: image.attrs["Created"]).id)


@contextlib.contextmanager
def _server(
    client: docker.DockerClient, image: str, variant: Variant, cpus: float
) -> Iterator[Container]:
    """Run a container until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _run(client, image, variant, cpus, Path(folder))


def _run(
    client: docker.DockerClient, image: str, variant: Variant, cpus: float, config: Path
) -> Iterator[Container]:
    options: dict[str, Any] = {"ports": {f"{PORT}/tcp": ("127.0.0.1", None)}, "detach": True}
    if variant.bare:
        # Without the image's environment, which is part of the comparison.
        options |= {"entrypoint": ["/usr/bin/env", "-i", "/opt/llama/llama-server"]}
        options |= {"command": ["--model", MODEL_FILE, "--host", "0.0.0.0", "--port", str(PORT)]}
    else:
        files = [{"path": MODEL_FILE}]
        settings = {"name": "smollm2-135m", "context": CONTEXT, "files": files}
        (config / "model.json").write_text(json.dumps(settings), encoding="utf-8")
        # The program has another user.
        config.chmod(0o755)
        options |= {
            "volumes": {str(config): {"bind": "/run/config", "mode": "ro"}},
            "environment": {
                "PORT": str(PORT),
                **variant.environment,
            },
            "nano_cpus": int(cpus * 1e9),
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "tmpfs": {"/tmp": "size=64m,noexec"},
            "init": True,
        }
    container = client.containers.run(image, **options)
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def container_url(container: Container) -> str:
    container.reload()
    published = container.ports[f"{PORT}/tcp"]
    assert published is not None, "the port is not published"
    return f"http://127.0.0.1:{published[0]['HostPort']}"


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _ask(url: str, tokens: int) -> Speed:
    """Request an answer of exactly `tokens` tokens, without the prompt cache."""
    body = {
        "prompt": f"{time.monotonic_ns()} {PROMPT}",
        "n_predict": tokens,
        "ignore_eos": True,
        "temperature": 0,
        "cache_prompt": False,
    }
    request = urllib.request.Request(
        f"{url}/completion",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        timings = json.load(answer)["timings"]
    return Speed(timings["prompt_per_second"], timings["predicted_per_second"])


def _rounds(urls: Sequence[str], options: argparse.Namespace) -> list[Speed]:
    """The median speed of each server, measured in turns so that other load affects all alike."""
    answers: list[list[Speed]] = [[] for _ in urls]
    for _ in range(options.rounds):
        for url, found in zip(urls, answers, strict=True):
            found.append(_ask(url, options.tokens))
    return [_median(found) for found in answers]


def _median(found: Sequence[Speed]) -> Speed:
    return Speed(median(one.prompt for one in found), median(one.generation for one in found))


def _spin() -> None:
    while True:
        pass


@contextlib.contextmanager
def _busy_loops(count: int) -> Iterator[None]:
    loops = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(count)]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.terminate()


def _table(
    quiet: Mapping[str, Sequence[Speed]],
    busy: Mapping[str, Sequence[Speed]],
    options: argparse.Namespace,
) -> str:
    head = (
        f"Tokens/s, {options.cpus:g} CPUs, median of {options.starts} starts with "
        f"{options.rounds} answers each, {options.loops} busy loops\n"
    )
    lines = [
        "| server | prompt | generation | of plain | prompt, busy | generation, busy |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    plain = _median(next(iter(quiet.values())))
    for name, starts in quiet.items():
        alone, beside = _median(starts), _median(busy[name])
        lines.append(
            f"| {name} | {alone.prompt:.0f} | {alone.generation:.1f} "
            f"| {alone.generation / plain.generation:.0%} "
            f"| {beside.prompt:.0f} | {beside.generation:.1f} |"
        )
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
