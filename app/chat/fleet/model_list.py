"""Reads the list of models that a server returns, which may be damaged or hostile.

Source of the form: OpenAI's API reference, "List models". Some servers return the array alone, and
Ollama returns null in place of an empty one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from app.chat.settings import AUTO_MODEL, MODEL_ID

LONGEST_LIST_BYTES = 2**20
MOST_MODELS = 256

_MODEL_ID = re.compile(MODEL_ID)


class InvalidList(Exception):
    """The response is not a list of models; the text is for the page."""


@dataclass(frozen=True)
class ModelList:
    """The valid names, each once, and how many entries were left out."""

    models: tuple[str, ...]
    ignored: int = 0


def read_model_list(content: bytes) -> ModelList:
    """The models in a response; raises InvalidList."""
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        raise InvalidList("its list of models is not valid JSON") from None
    entries = parsed.get("data", ...) if isinstance(parsed, dict) else parsed
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise InvalidList("its list of models does not have OpenAI's form")
    valid = [name for entry in entries if (name := _name(entry)) is not None]
    models = tuple(dict.fromkeys(valid))[:MOST_MODELS]
    return ModelList(models, len(entries) - len(models))


def _name(entry: object) -> str | None:
    name = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(name, str) or name == AUTO_MODEL or not _MODEL_ID.fullmatch(name):
        return None
    return name
