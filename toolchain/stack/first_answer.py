"""Waits until the gateway of a new stack has answered a chat completion."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from toolchain.stack.containers import Container
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Step

# A first start may download gigabytes; a container that keeps restarting ends the wait earlier.
DEADLINE_SECONDS = 3600.0
ANSWER_SECONDS = 300.0
PAUSE_SECONDS = 1.0
MAX_RESTARTS = 3
# The gateway is on this machine, so the proxy of the shell must not be used.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
QUESTION = "What is the capital of France? Answer in one sentence."
ANSWER_TOKENS = 32


@dataclass(frozen=True)
class Reply:
    """A streamed chat completion."""

    model: str
    placeholder: str | None
    """The placeholder model and its reason, if it replaced the model."""
    text: str
    chunks: int


class NoModel(Exception):
    """The gateway runs without models."""


class KeyNeeded(Exception):
    """The gateway requires an API key."""


def wait(chat_url: str, step: Step, list_containers: Callable[[], list[Container]]) -> Reply:
    """Retry until a completion streams; raises `SetupError` at the deadline or on a restart loop.

    Raises `NoModel` or `KeyNeeded` at once, since waiting changes neither.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    reason = "no request sent"
    while time.monotonic() < deadline:
        step.note(f"sending a request to {chat_url}")
        try:
            return request_completion(chat_url)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = explain(error)
        present = list_containers()
        failing = [one for one in present if one.restarts >= MAX_RESTARTS and not one.healthy]
        if failing:
            raise SetupError(f"{failing[0].name} does not start: {failing[0].condition}.")
        step.note(waiting_for(present) or reason)
        time.sleep(PAUSE_SECONDS)
    raise SetupError(f"No chat completion within {DEADLINE_SECONDS:.0f} s: {reason}")


def waiting_for(present: Iterable[Container]) -> str | None:
    """The first container that is not healthy, with its last log line."""
    for container in present:
        if not container.healthy:
            lines = container.last_log_lines()
            log = f"; last log line: {message(lines[-1])[:80]}" if lines else ""
            return f"{container.name} is {container.condition}{log}"
    return None


def message(line: str) -> str:
    """The text of a log line, which may be a JSON object."""
    try:
        content = json.loads(line)
    except ValueError:
        return line
    if not isinstance(content, dict):
        return line
    return str(content.get("message") or content.get("event") or content.get("msg") or line)


def explain(error: Exception) -> str:
    """An error as one line; an HTTP error includes its body."""
    if isinstance(error, urllib.error.HTTPError):
        with error:
            return f"HTTP {error.code}: {error.read(500).decode(errors='replace')}"
    return str(error) or type(error).__name__


def request_completion(chat_url: str) -> Reply:
    """Stream a completion of the gateway's first model."""
    try:
        with DIRECT.open(f"{chat_url}/v1/models", timeout=10) as response:
            models = json.load(response)["data"]
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.UNAUTHORIZED:
            error.close()
            raise KeyNeeded from None
        raise
    if not models:
        raise NoModel
    model = models[0]
    placeholder = model.get("placeholder")
    body = {
        "model": model["id"],
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0,
        "stream": True,
    }
    request = urllib.request.Request(
        f"{chat_url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with DIRECT.open(request, timeout=ANSWER_SECONDS) as response:
        pieces = list(deltas(line.decode() for line in response))
    if not any(pieces):
        raise ValueError("the completion is empty")
    return Reply(
        model=model["id"],
        placeholder=f"{placeholder['model']} ({placeholder['reason']})" if placeholder else None,
        text="".join(pieces),
        chunks=len(pieces),
    )


def deltas(lines: Iterable[str]) -> Iterator[str]:
    """The text deltas in the server-sent events of OpenAI's API."""
    for line in lines:
        data = line.strip().removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        event: dict[str, Any] = json.loads(data)
        if "error" in event:
            raise ValueError(str(event["error"].get("message", event["error"])))
        for choice in event.get("choices", []):
            if text := choice.get("delta", {}).get("content"):
                yield text
