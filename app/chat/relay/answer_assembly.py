"""Puts the pieces of a streamed answer together into the whole answer that a client asked for.

Source of both forms: OpenAI's API reference, "Chat completions" and "Completions". Fields that it
does not know (llama-server's `timings`, for one) are kept: the last value wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.chat.relay import sse
from app.chat.relay.upstream import broken_off

_WHOLE_KINDS = {"chat.completion.chunk": "chat.completion"}


class AnswerAssembly:
    """Feed it events; `whole` is the answer."""

    def __init__(self) -> None:
        self._top: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def feed(self, events: bytes) -> None:
        for payload in sse.payloads(events):
            for name, value in payload.items():
                if name == "choices":
                    for choice in value or ():
                        self._add_choice(choice)
                elif value is not None:
                    self._top[name] = value

    def whole(self) -> dict[str, Any]:
        """The answer as if it had never been streamed. Raises ApiError when there was none."""
        if not self._choices:
            raise broken_off("the model server sent an empty answer")
        kind = self._top.get("object", "")
        choices = [_closed(choice) for _, choice in sorted(self._choices.items())]
        return {**self._top, "object": _WHOLE_KINDS.get(kind, kind), "choices": choices}

    def _add_choice(self, piece: Mapping[str, Any]) -> None:
        index = piece.get("index", 0)
        choice = self._choices.setdefault(index, {"index": index, "finish_reason": None})
        for name, value in piece.items():
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


def _add_tool_call(call: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for name, value in piece.items():
        if name == "function":
            function = call.setdefault("function", {"arguments": ""})
            function["arguments"] += value.get("arguments") or ""
            if value.get("name"):
                function["name"] = value["name"]
        elif name != "index" and value is not None:
            call[name] = value


def _add_logprobs(choice: dict[str, Any], piece: Mapping[str, Any] | None) -> None:
    if piece is None:
        return
    logprobs = choice.setdefault("logprobs", {})
    for name, value in piece.items():
        if isinstance(value, list) and isinstance(logprobs.get(name), list):
            logprobs[name] += value
        else:
            logprobs[name] = value


def _closed(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    if message is not None:
        message.setdefault("role", "assistant")
        if "tool_calls" in message:
            message["tool_calls"] = [call for _, call in sorted(message["tool_calls"].items())]
    return choice
