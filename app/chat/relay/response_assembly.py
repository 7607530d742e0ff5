"""Assembles the chunks of a stream into the document that a client without `stream` expects.

Source of both forms: OpenAI's API reference, "Chat completions" and "Completions". Other fields,
such as llama-server's `timings`, are kept with their last value.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from app.chat.fleet.upstream_errors import lost_upstream
from app.chat.openai import sse

_DOCUMENT_TYPES = {"chat.completion.chunk": "chat.completion"}


@contextlib.contextmanager
def _right_form() -> Iterator[None]:
    """Raises ApiError where the JSON values do not have the types of their API."""
    try:
        yield
    except (AttributeError, KeyError, TypeError):
        raise lost_upstream("the response of the model server has a wrong form") from None


class Assembly(ABC):
    """Collects events with `feed`; `document` is the result."""

    def feed(self, events: bytes) -> None:
        """Add complete events; raises ApiError for another form."""
        with _right_form():
            for payload in sse.payloads(events):
                self.add(payload)

    def document(self) -> dict[str, Any]:
        """The response as if it had not been streamed; raises ApiError if it is empty."""
        with _right_form():
            return self.whole()

    @abstractmethod
    def add(self, payload: Mapping[str, Any]) -> None:
        """Add the data of one event."""

    @abstractmethod
    def whole(self) -> dict[str, Any]:
        """The document of all events; raises ApiError if there were none."""


class ResponseAssembly(Assembly):
    """Chat completions and completions."""

    def __init__(self) -> None:
        self._top: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, payload: Mapping[str, Any]) -> None:
        for name, value in payload.items():
            if name == "choices":
                for choice in value or ():
                    self._add_choice(choice)
            elif value is not None:
                self._top[name] = value

    def whole(self) -> dict[str, Any]:
        if not self._choices:
            raise lost_upstream("the model server sent an empty response")
        type_ = self._top.get("object", "")
        choices = [_completed(choice) for _, choice in sorted(self._choices.items())]
        return {**self._top, "object": _DOCUMENT_TYPES.get(type_, type_), "choices": choices}

    def _add_choice(self, part: Mapping[str, Any]) -> None:
        index = part.get("index", 0)
        choice = self._choices.setdefault(index, {"index": index, "finish_reason": None})
        for name, value in part.items():
            if name == "delta":
                _add_delta(choice.setdefault("message", {"content": None}), value or {})
            elif name == "text":
                choice["text"] = choice.get("text", "") + (value or "")
            elif name == "logprobs":
                _add_logprobs(choice, value)
            elif value is not None:
                choice[name] = value


def _add_delta(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", {})
            for call in value or ():
                _add_tool_call(calls.setdefault(call.get("index", len(calls)), {}), call)
        elif name == "role":
            message["role"] = value
        elif isinstance(value, str | list) and type(message.get(name)) is type(value):
            message[name] += value
        elif value is not None:
            message[name] = value


def _add_tool_call(call: dict[str, Any], part: Mapping[str, Any]) -> None:
    for name, value in part.items():
        if name == "function":
            function = call.setdefault("function", {"arguments": ""})
            function["arguments"] += value.get("arguments") or ""
            if value.get("name"):
                function["name"] = value["name"]
        elif name != "index" and value is not None:
            call[name] = value


def _add_logprobs(choice: dict[str, Any], part: Mapping[str, Any] | None) -> None:
    if part is None:
        return
    logprobs = choice.setdefault("logprobs", {})
    for name, value in part.items():
        if isinstance(value, list) and isinstance(logprobs.get(name), list):
            logprobs[name] += value
        else:
            logprobs[name] = value


def _completed(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    if message is not None:
        message.setdefault("role", "assistant")
        if "tool_calls" in message:
            message["tool_calls"] = [call for _, call in sorted(message["tool_calls"].items())]
    return choice
