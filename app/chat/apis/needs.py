"""What a request needs of a model beyond text: images, sounds, videos, calls of tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

from app.chat.apis.api import Api, Body


class Need(StrEnum):
    """A capability that a request cannot do without."""

    VISION = "vision"
    AUDIO = "audio"
    VIDEO = "video"
    TOOLS = "tools"


WHAT_IS_MISSING = {
    Need.VISION: "cannot read images",
    Need.AUDIO: "cannot read audio",
    Need.VIDEO: "cannot read videos",
    Need.TOOLS: "cannot be forced to call a tool: its chat template has none",
}
# Types of content parts: of chat completions, of Responses, and of Messages.
_PARTS = {
    "image_url": Need.VISION,
    "input_image": Need.VISION,
    "image": Need.VISION,
    "input_audio": Need.AUDIO,
    "audio_url": Need.AUDIO,
    "input_video": Need.VIDEO,
    "video_url": Need.VIDEO,
}
# Fields that hold content parts: of messages, and of the results of tools.
_HOLDERS = ("content", "output")
_FORCED_TYPES = frozenset({"function", "custom", "any", "tool"})


def needs_of(api: Api, body: Body) -> frozenset[Need]:
    """What a request needs of its model.

    Tools that the model may use are not among them: it can answer without a call.
    """
    needs = {Need(one) for one in api.needs}
    needs.update(_of_parts(api.prompt(body), depth=2))
    if _forces_a_tool(body):
        needs.add(Need.TOOLS)
    return frozenset(needs)


def _of_parts(items: Sequence[Any], depth: int) -> Iterator[Need]:
    for item in items:
        if not isinstance(item, dict):
            continue
        kind = item.get("type")
        if isinstance(kind, str) and kind in _PARTS:
            yield _PARTS[kind]
        for holder in _HOLDERS if depth else ():
            if isinstance(parts := item.get(holder), list):
                yield from _of_parts(parts, depth - 1)


def _forces_a_tool(body: Body) -> bool:
    choice = body.get("tool_choice")
    if not body.get("tools"):
        return False
    if isinstance(choice, dict):
        return choice.get("type") in _FORCED_TYPES
    return choice == "required"
