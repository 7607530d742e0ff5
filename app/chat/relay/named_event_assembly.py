"""Assembles the streams of Responses, Messages and infill into whole documents.

Sources of the forms: OpenAI's and Anthropic's API references, llama.cpp's tools/server/README.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.chat.fleet.upstream_errors import lost_upstream
from app.chat.relay.response_assembly import Assembly

# The text of a block by the type of the delta that adds to it.
_TEXT_FIELDS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}


class ResponsesAssembly(Assembly):
    """The closing event of a response has the whole document."""

    def __init__(self) -> None:
        self._response: dict[str, Any] | None = None

    def add(self, payload: Mapping[str, Any]) -> None:
        if isinstance(payload.get("response"), dict):
            self._response = payload["response"]

    def whole(self) -> dict[str, Any]:
        if self._response is None:
            raise lost_upstream("the model server sent an empty response")
        return self._response


class MessageAssembly(Assembly):
    """Anthropic's message: its head, blocks of content, and the reason of its end."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, str] = {}

    def add(self, payload: Mapping[str, Any]) -> None:
        match payload.get("type"):
            case "message_start":
                self._message = dict(payload["message"])
            case "content_block_start":
                self._blocks[payload["index"]] = dict(payload["content_block"])
            case "content_block_delta":
                self._add_delta(payload["index"], payload["delta"])
            case "message_delta":
                self._message |= payload["delta"]
                usage = self._message.get("usage") or {}
                self._message["usage"] = {**usage, **(payload.get("usage") or {})}

    def _add_delta(self, index: int, delta: Mapping[str, Any]) -> None:
        if delta["type"] == "input_json_delta":
            self._inputs[index] = self._inputs.get(index, "") + delta["partial_json"]
        elif (name := _TEXT_FIELDS.get(delta["type"])) is not None:
            block = self._blocks[index]
            block[name] = block.get(name, "") + delta[name]

    def whole(self) -> dict[str, Any]:
        if not self._message:
            raise lost_upstream("the model server sent an empty response")
        for index, text in self._inputs.items():
            self._blocks[index]["input"] = _object(text)
        return {**self._message, "content": [block for _, block in sorted(self._blocks.items())]}


class InfillAssembly(Assembly):
    """The text of all events; the last one has the other fields."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._tokens: list[Any] = []
        self._last: dict[str, Any] = {}

    def add(self, payload: Mapping[str, Any]) -> None:
        self._texts.append(payload.get("content") or "")
        self._tokens += payload.get("tokens") or ()
        self._last = dict(payload)

    def whole(self) -> dict[str, Any]:
        if not self._last:
            raise lost_upstream("the model server sent an empty response")
        if "tokens" in self._last:
            self._last["tokens"] = self._tokens
        return {**self._last, "content": "".join(self._texts)}


def _object(text: str) -> Any:
    """The input of a tool; llama-server's documents have an empty one for invalid JSON too."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {}
