"""Checks `options:` of a model, and makes arguments of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class OptionProblem:
    """What is wrong with one option of a model."""

    option: str
    text: str
    allowed: str | None = None
    """Without the introduction `allowed: `."""


def problems(options: Mapping[str, object]) -> list[OptionProblem]:
    """Everything that is wrong with `options:`, in its order."""
    return [
        OptionProblem(name, "is not an option of the pinned llama-server")
        for name in options
        if not name.startswith("-")
    ]


def arguments(options: Mapping[str, object]) -> list[str]:
    """The arguments of llama-server for options without problems."""
    listed: list[str] = []
    for name, value in options.items():
        listed += [name] if value is True else [name, str(value)]
    return listed
