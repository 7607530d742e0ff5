"""What a model can do, as its llama-server reports it.

Source: llama.cpp's tools/server/server-context.cpp (`get_res_props`) and common/jinja/caps.cpp,
b11312.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# llama-server reports only a part of what shows that a template knows about thinking.
_THINKING = re.compile(r"enable_thinking|reasoning_content|<think>|reasoning_effort")
_THINKING_CAPS = ("supports_preserve_reasoning", "supports_reasoning_effort")


@dataclass(frozen=True)
class Capabilities:
    """What a model can do; None where its server does not report it.

    :param context: tokens per slot.
    """

    tools: bool | None = None
    vision: bool | None = None
    audio: bool | None = None
    video: bool | None = None
    thinking: bool | None = None
    context: int | None = None


UNKNOWN = Capabilities()


def read_capabilities(props: bytes) -> Capabilities:
    """The capabilities in the response of `/props`; UNKNOWN if it has another form."""
    try:
        found = json.loads(props)
    except (ValueError, RecursionError):
        return UNKNOWN
    if not isinstance(found, dict):
        return UNKNOWN
    caps, modalities = _object(found, "chat_template_caps"), _object(found, "modalities")
    context = _object(found, "default_generation_settings").get("n_ctx")
    return Capabilities(
        tools=_flag(caps, "supports_tools"),
        vision=_flag(modalities, "vision"),
        audio=_flag(modalities, "audio"),
        video=_flag(modalities, "video"),
        thinking=_thinks(caps, found.get("chat_template")),
        context=context if type(context) is int and context > 0 else None,
    )


def _thinks(caps: Mapping[str, Any], template: object) -> bool | None:
    if any(caps.get(name) is True for name in _THINKING_CAPS):
        return True
    return bool(_THINKING.search(template)) if isinstance(template, str) else None


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _flag(holder: Mapping[str, Any], name: str) -> bool | None:
    value = holder.get(name)
    return value if isinstance(value, bool) else None
