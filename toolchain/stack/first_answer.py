"""Waits until the chat of a fresh stack has answered a question."""

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

# A first start may have to fetch gigabytes; what cannot come up is told by its restarts before.
DEADLINE_SECONDS = 3600.0
ANSWER_SECONDS = 300.0
PAUSE_SECONDS = 1.0
HOPELESS_RESTARTS = 3
# The chat is on this machine: a proxy that the shell names cannot reach it.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
QUESTION = "What is the capital of France? Answer in one sentence."
ANSWER_TOKENS = 32


@dataclass(frozen=True)
class Reply:
    """What the chat said, as it came."""

    model: str
    placeholder: str | None
    """Why another model answered, where one did."""
    text: str
    chunks: int


class NoModel(Exception):
    """The chat runs, and offers no model: a stack of the chat alone."""


class KeyNeeded(Exception):
    """The chat runs, and answers only who has one of its keys."""


def wait(chat_url: str, step: Step, look: Callable[[], list[Container]]) -> Reply:
    """Ask until an answer streams; raises `SetupError` when that is late or hopeless.

    Raises `NoModel` or `KeyNeeded` at once, since neither changes by waiting.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    reason = "nothing tried yet"
    while time.monotonic() < deadline:
        step.note(f"asking {chat_url}")
        try:
            return ask_chat(chat_url)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = explain(error)
        present = look()
        given_up = [one for one in present if one.restarts >= HOPELESS_RESTARTS and not one.well]
        if given_up:
            raise SetupError(f"{given_up[0].name} does not come up: {given_up[0].condition}.")
        step.note(waiting_for(present) or reason)
        time.sleep(PAUSE_SECONDS)
    raise SetupError(f"The chat did not answer within {DEADLINE_SECONDS:.0f} s: {reason}")


def waiting_for(present: Iterable[Container]) -> str | None:
    """What is not well yet, and the last that it said."""
    for container in present:
        if not container.well:
            lines = container.last_log_lines()
            said = f"; it says: {message(lines[-1])[:80]}" if lines else ""
            return f"{container.name} is {container.condition}{said}"
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
    """An error in a line; one of HTTP with what its body says."""
    if isinstance(error, urllib.error.HTTPError):
        with error:
            return f"HTTP {error.code}: {error.read(500).decode(errors='replace')}"
    return str(error) or type(error).__name__


def ask_chat(chat_url: str) -> Reply:
    """Stream one answer of the chat's first model."""
    try:
        with DIRECT.open(f"{chat_url}/v1/models", timeout=10) as answer:
            models = json.load(answer)["data"]
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
    with DIRECT.open(request, timeout=ANSWER_SECONDS) as answer:
        pieces = list(deltas(line.decode() for line in answer))
    if not any(pieces):
        raise ValueError("the answer was empty")
    return Reply(
        model=model["id"],
        placeholder=f"{placeholder['model']} ({placeholder['reason']})" if placeholder else None,
        text="".join(pieces),
        chunks=len(pieces),
    )


def deltas(lines: Iterable[str]) -> Iterator[str]:
    """The pieces of text in a stream of server-sent events, as OpenAI's API sends them."""
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
