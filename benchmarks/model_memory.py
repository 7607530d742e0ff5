"""Memory of llama-server beside the estimate of the preview: `python -m benchmarks.model_memory`.

Starts llama-server with SmolLM2-135M-Instruct in a container, with the options of a stack that
count for memory, once for each context. Reads the container's control group after the start, and
after requests that fill every slot. Memory without page cache is what only this process has; with
it come the weights and the programs, which are read from files. Before each start the model's file
is dropped from the page cache, so that this container is charged for it: run it where nothing else
uses the file. Prints a Markdown table in MiB.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import docker
from docker.models.containers import Container

from components.config.field_types import MEBIBYTE
from components.config.kv_cache import CacheSettings
from components.config.memory_estimate import Estimate, ModelNeeds, estimate, local_header

MODEL_FILE = "/opt/models/smollm2-135m.gguf"
LLAMA_SERVER = "/opt/llama/llama-server"
PORT = 8000
START_SECONDS = 120
ANSWER_SECONDS = 900
# app/inference starts llama-server with these.
BATCH_TOKENS = 512
# Tokens of one sentence of the prompts, with a number in it.
SENTENCE_TOKENS = 14
DROP_ATTEMPTS = 10
DROP_FROM_PAGE_CACHE = f"""
import os
file = os.open({MODEL_FILE!r}, os.O_RDONLY)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
"""


@dataclass(frozen=True)
class Memory:
    """Bytes of a container's control group."""

    own: int
    """Without page cache."""
    page_cache: int


@dataclass(frozen=True)
class Row:
    """One start of llama-server."""

    estimated: Estimate
    started: Memory
    filled: Memory


def main() -> None:
    options = _options()
    client = docker.from_env()
    image = options.image or _demo_image(client)
    rows = []
    with TemporaryDirectory() as folder:
        weights = _copied_model(client, image, Path(folder))
        for context in options.contexts:
            cache = CacheSettings(context, options.slots, options.cache_type)
            header = local_header(str(weights))
            needs = ModelNeeds(weights.stat().st_size, cache, header=header)
            rows.append(Row(estimate(needs), *_measured(client, image, needs.weights, cache)))
            print(f"context {context} measured", file=sys.stderr)
    print(_table(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_memory", description=__doc__)
    parser.add_argument("--image", help="an inference image that contains smollm2-135m")
    parser.add_argument("--contexts", type=int, nargs="+", default=[1024, 4096, 8192])
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--cache-type", default="f16")
    return parser.parse_args()


def _demo_image(client: docker.DockerClient) -> str:
    """The newest image of the dev stack that contains the model."""
    images = client.images.list("llm-stack-dev/inference-smollm2-135m")
    if not images:
        raise SystemExit("error: no image contains smollm2-135m; run ./dev up or pass --image")
    return str(max(images, key=lambda image: image.attrs["Created"]).id)


def _copied_model(client: docker.DockerClient, image: str, folder: Path) -> Path:
    """The model's file on this machine, where the estimate reads its header."""
    container = client.containers.create(image)
    try:
        chunks, _ = container.get_archive(MODEL_FILE)
        with TemporaryFile() as archive:
            archive.writelines(chunks)
            archive.seek(0)
            with tarfile.open(fileobj=archive) as opened:
                opened.extractall(folder, filter="data")
    finally:
        container.remove()
    return folder / Path(MODEL_FILE).name


def _measured(
    client: docker.DockerClient, image: str, weights: int, cache: CacheSettings
) -> tuple[Memory, Memory]:
    """After the start, and after requests that fill every slot."""
    for _ in range(DROP_ATTEMPTS):
        client.containers.run(
            image, ["-c", DROP_FROM_PAGE_CACHE], entrypoint="python3", remove=True
        )
        with _server(client, image, cache) as container:
            url = _url(container)
            _wait(url)
            started = _memory(container)
            # The kernel keeps pages that it still has in use; then they are charged elsewhere.
            if started.page_cache >= weights:
                _fill(url, cache)
                return started, _memory(container)
    raise SystemExit(f"error: something else uses {MODEL_FILE} of this image")


@contextlib.contextmanager
def _server(client: docker.DockerClient, image: str, cache: CacheSettings) -> Iterator[Container]:
    ports: dict[str, Any] = {f"{PORT}/tcp": ("127.0.0.1", None)}
    container = client.containers.run(
        image,
        command=[
            *("--model", MODEL_FILE, "--host", "0.0.0.0", "--port", str(PORT)),
            *("--ctx-size", str(cache.context * cache.slots), "--parallel", str(cache.slots)),
            *("--batch-size", str(BATCH_TOKENS), "--threads", "2"),
            *("--cache-type-k", cache.cache_type, "--cache-type-v", cache.cache_type),
            # Its size is a share of the container's memory, and not a need of the model.
            *("--cache-ram", "0"),
            *("--threads-http", str(cache.slots * 2 + 16), "--no-ui", "--offline"),
        ],
        entrypoint=LLAMA_SERVER,
        ports=ports,
        detach=True,
    )
    try:
        yield container
    finally:
        container.remove(force=True)


def _url(container: Container) -> str:
    container.reload()
    (binding,) = container.attrs["NetworkSettings"]["Ports"][f"{PORT}/tcp"]
    return f"http://127.0.0.1:{binding['HostPort']}"


def _wait(url: str) -> None:
    """Wait until the model is loaded."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5):
            return
        time.sleep(0.2)
    raise SystemExit(f"error: llama-server did not start in {START_SECONDS} s")


def _fill(url: str, cache: CacheSettings) -> None:
    """Send one prompt to each slot at once, each nearly as long as the context."""
    sentences = cache.context * 3 // 4 // SENTENCE_TOKENS

    def ask(slot: int) -> None:
        prompt = " ".join(f"The fox {slot} jumps over {at} lazy dogs." for at in range(sentences))
        body = json.dumps({"prompt": prompt, "n_predict": 16, "id_slot": slot}).encode()
        request = urllib.request.Request(
            f"{url}/completion", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            answer.read()

    with concurrent.futures.ThreadPoolExecutor(cache.slots) as pool:
        list(pool.map(ask, range(cache.slots)))


def _memory(container: Container) -> Memory:
    """The names of the numbers differ between versions 1 and 2 of control groups."""
    answer: Any = container.stats(stream=False)
    numbers = answer["memory_stats"]["stats"]
    if "anon" in numbers:
        return Memory(numbers["anon"], numbers["file"])
    return Memory(numbers["total_rss"], numbers["total_cache"])


def _table(rows: list[Row]) -> str:
    lines = [
        "| context, slots | estimate: weights | KV cache | buffers, server | sum "
        "| measured without page cache, started | slots filled | with page cache |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        needed = row.estimated
        sizes = [needed.weights, needed.kv_cache or 0, needed.overhead, needed.total]
        sizes += [row.started.own, row.filled.own, row.filled.own + row.filled.page_cache]
        columns = " | ".join(f"{size / MEBIBYTE:.0f}" for size in sizes)
        lines.append(f"| {needed.context}, {needed.slots} | {columns} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
