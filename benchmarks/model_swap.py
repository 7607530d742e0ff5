"""First token of a loaded, a sleeping and a swapped model: `python -m benchmarks.model_swap`.

One container of the inference image runs llama-server in router mode with SmolLM2-135M-Instruct
under three names, of which one is in memory. The prompt has a hundred tokens, which are not in the
prompt cache. The file is in the page cache: one that is not takes longer by the time of its
reading. Prints a Markdown table in seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import docker

from benchmarks.generation import (
    MODEL_FILE,
    PORT,
    container_url,
    demo_image,
    wait_until_ready,
)

# Of the two models without idle_sleep, each is swapped for the other one.
FIRST, SECOND, SLEEPER = "first", "second", "sleeper"
PROMPT = "The quick brown fox jumps over the lazy dog. " * 10
PATIENCE_SECONDS = 120.0


def main() -> None:
    options = _options()
    client = docker.from_env()
    with _router(client, options.image or demo_image(client)) as url:
        _first_token(url, FIRST)
        rows = {
            "loaded": lambda: _first_token(url, FIRST),
            "asleep (`idle_sleep`)": lambda: _after_sleep(url),
            "swapped (`models`)": lambda: _after_swap(url),
        }
        print("| model | first token, s: median | max |\n|---|---:|---:|")
        for name, measure in rows.items():
            print(_row(name, measure, options.times), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_swap", description=__doc__)
    parser.add_argument("--image", help="an inference image that contains smollm2-135m")
    parser.add_argument("--times", type=int, default=10)
    return parser.parse_args()


def _row(name: str, measure: Callable[[], float], times: int) -> str:
    seconds = [measure() for _ in range(times)]
    return f"| {name} | {median(seconds):.2f} | {max(seconds):.2f} |"


@contextlib.contextmanager
def _router(client: docker.DockerClient, image: str) -> Iterator[str]:
    """The URL of a router that has one model in memory."""
    model: dict[str, Any] = {"context": 2048, "files": [{"path": MODEL_FILE}]}
    models = [{"name": name, **model} for name in (FIRST, SECOND)]
    models.append({"name": SLEEPER, "idle_sleep": 1, **model})
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder)
        content = {"max_loaded": 1, "models": models}
        (config / "model.json").write_text(json.dumps(content), encoding="utf-8")
        # The program has another user.
        config.chmod(0o755)
        options: dict[str, Any] = {
            "ports": {f"{PORT}/tcp": ("127.0.0.1", None)},
            "volumes": {folder: {"bind": "/run/config", "mode": "ro"}},
            "environment": {"PORT": str(PORT)},
            "read_only": True,
            "tmpfs": {"/tmp": "size=64m,noexec"},
            "init": True,
            "detach": True,
        }
        container = client.containers.run(image, **options)
        try:
            url = container_url(container)
            wait_until_ready(url)
            yield url
        finally:
            container.remove(force=True, v=True)


def _after_swap(url: str) -> float:
    other = SECOND if _state(url, FIRST) == "loaded" else FIRST
    return _first_token(url, other)


def _after_sleep(url: str) -> float:
    _first_token(url, SLEEPER)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _state(url, SLEEPER) != "sleeping":
        if time.monotonic() > deadline:
            raise SystemExit("error: the model does not sleep")
        time.sleep(0.1)
    return _first_token(url, SLEEPER)


def _state(url: str, model: str) -> str:
    with urllib.request.urlopen(f"{url}/v1/models", timeout=10) as answer:
        listed = json.load(answer)["data"]
    [state] = [one["status"]["value"] for one in listed if one["id"] == model]
    return str(state)


def _first_token(url: str, model: str) -> float:
    """Seconds from a request to the first token of its stream."""
    body = {
        "model": model,
        "prompt": f"{time.monotonic_ns()} {PROMPT}",
        "max_tokens": 4,
        "stream": True,
    }
    request = urllib.request.Request(
        f"{url}/v1/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    started = time.monotonic()
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        first = next(time.monotonic() - started for line in answer if line.startswith(b"data:"))
        # The next request must not wait for the rest of this one.
        answer.read()
    return first


if __name__ == "__main__":
    main()
