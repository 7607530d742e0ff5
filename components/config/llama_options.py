"""Checks `options:` of a model against the options of the pinned llama-server, and makes its
arguments of them.

llama_options.json lists them; llama_help.py writes it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from components.config.llama_help import DATA_FILE, Option

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_NEAREST = 3

# By the key that sets them: patterns of names.
KEYS: Mapping[str, tuple[str, ...]] = {
    "context": ("--ctx-size", "--kv-unified-per-slot"),
    "slots": ("--parallel",),
    "threads": ("--threads",),
    "task": ("--embeddings", "--reranking"),
    "pooling": ("--pooling",),
    "projector": ("--mmproj", "--mmproj-auto"),
    "adapters": ("--lora", "--lora-scaled", "--lora-init-without-apply"),
    "draft": ("--spec-draft-model",),
    "chat_template": ("--chat-template", "--chat-template-file"),
    "reasoning": ("--reasoning", "--reasoning-budget"),
    "cache_type": ("--cache-type-k", "--cache-type-v"),
    "flash_attention": ("--flash-attn",),
    "idle_sleep": ("--sleep-idle-seconds",),
    "gpu_layers of the service": ("--gpu-layers",),
    "port of the service": ("--port",),
}
# Why an option is refused, and the patterns of its names.
REFUSED: Mapping[str, tuple[str, ...]] = {
    "others can read a command line; the token is llm-stack:hfToken": ("--hf-token",),
    "the name and the file are those of the model's entry": ("--model", "--alias", "--tags"),
    "llama-server must not download anything; the entry has the model's source and digest": (
        *("--model-url", "--docker-repo", "--hf-*", "--spec-draft-hf", "--mmproj-url"),
        *("--offline", "--embd-gemma-*", "--fim-*", "--gpt-oss-*", "--vision-gemma-*"),
    ),
    "the gateway sends requests to the service's own name and port": (
        *("--host", "--reuse-port", "--api-prefix"),
    ),
    "the gateway checks keys; its requests to llama-server have none": ("--api-key*",),
    "containers exchange requests without TLS; a tunnel or a proxy provides it": ("--ssl-*",),
    "browsers use the gateway, and reach no model directly": (
        *("--path", "--ui", "--ui-config*", "--cors-*"),
    ),
    "clients could run programs, or send requests from the container": (
        *("--tools*", "--agent", "--mcp-*", "--ui-mcp-proxy"),
    ),
    "it connects to other servers without encryption and without keys": ("--rpc",),
    "clients could read files of the container": ("--media-path",),
    "clients could change the server's settings": ("--props",),
    "it writes conversations to files": ("--slot-save-path", "--log-prompts-dir"),
    "it writes conversations to the log": ("--verbose", "--verbosity"),
    "the log goes to Docker, as JSON": (
        *("--log-file", "--log-disable", "--log-jsonl", "--log-colors"),
        *("--log-prefix", "--log-timestamps"),
    ),
    "the gateway and the monitor need it": ("--metrics", "--slots", "--jinja"),
    "a container runs one model": ("--models-*",),
    "no key puts a file for it into the container": (
        *("--grammar-file", "--json-schema-file", "--control-vector*", "--lookup-cache-*"),
        "--video-ffmpeg-dir",
    ),
    "it would apply to every request; a request may have its own": ("--grammar", "--json-schema"),
    "llama-server only prints something and exits": (
        *("--help", "--version", "--cache-list", "--completion-bash", "--list-devices"),
    ),
}
# By an option of earlier versions of llama-server: what replaces it.
RENAMED: Mapping[str, str] = {
    "--no-mmap": "--load-mode: none",
    "--mlock": "--load-mode: mlock",
    "--direct-io": "--load-mode: dio",
}


@dataclass(frozen=True)
class OptionProblem:
    """What is wrong with one option of a model."""

    option: str
    text: str
    allowed: str | None = None
    """Without the introduction `allowed: `."""


def problems(options: Mapping[str, object]) -> list[OptionProblem]:
    """Everything that is wrong with `options:`, in its order."""
    found = [problem for name, value in options.items() for problem in _problems(name, value)]
    return [*found, *_listed_twice(options)]


def arguments(options: Mapping[str, object]) -> list[str]:
    """The arguments of llama-server for options without problems."""
    listed: list[str] = []
    for name, value in options.items():
        listed.append(name)
        if (text := _text(_known()[name], value)) is not None:
            listed.append(text)
    return listed


@cache
def _known() -> Mapping[str, Option]:
    """The options by each of their names."""
    listed: list[Option] = json.loads(DATA_FILE.read_text())["options"]
    return {name: option for option in listed for name in option["names"]}


def _problems(name: str, value: object) -> Iterator[OptionProblem]:
    option = _known().get(name)
    if option is None:
        yield OptionProblem(name, "is not an option of the pinned llama-server", _nearest(name))
    elif key := _first(KEYS, option):
        yield OptionProblem(name, "has a key of its own", key)
    elif reason := _first(REFUSED, option):
        yield OptionProblem(name, f"is refused: {reason}")
    elif removed := option.get("removed"):
        yield OptionProblem(name, "was removed from llama-server", removed.removeprefix("use "))
    elif (allowed := _allowed_instead(option, name, value)) is not None:
        yield OptionProblem(name, *allowed)


def _nearest(name: str) -> str:
    usable = [one for one, option in _known().items() if not _first(REFUSED, option)]
    near = difflib.get_close_matches(name, usable, n=_NEAREST)
    return RENAMED.get(name) or " or ".join(near) or "what llama-server --help lists"


def _first(table: Mapping[str, tuple[str, ...]], option: Option) -> str | None:
    """The first entry of a table with a pattern for one of the option's names."""
    return next(
        (
            entry
            for entry, patterns in table.items()
            for pattern in patterns
            if any(fnmatchcase(name, pattern) for name in option["names"])
        ),
        None,
    )


def _allowed_instead(option: Option, name: str, value: object) -> tuple[str, str] | None:
    """What is wrong with a value, and what is allowed; None for a valid one."""
    if "value" not in option:
        return None if value is True else ("takes no value", _for_a_switch(option, name))
    text = _text(option, value)
    if text is None:
        return "needs a value", _for_a_value(option)
    words = text.split(",") if option.get("several") else [text]
    allowed = option.get("allowed")
    if allowed and not all(word in allowed for word in words):
        return "is not a valid value", _for_a_value(option)
    if option.get("number") and not _NUMBER.fullmatch(text):
        return "is not a number", _for_a_value(option)
    return None


def _for_a_switch(option: Option, name: str) -> str:
    opposites = [
        one for one in option["names"] if one.startswith("--no-") != name.startswith("--no-")
    ]
    others = [one for one in opposites if one.startswith("--")]
    return f"true{f', or {others[0]}: true' if others else ''}, or leave it out"


def _for_a_value(option: Option) -> str:
    if "allowed" in option:
        listed = ", ".join(option["allowed"])
        return f"{listed}; several with commas" if option.get("several") else listed
    return "a number" if option.get("number") else option["value"]


def _text(option: Option, value: object) -> str | None:
    """The argument after the name; None where there is none, or where it is not one value."""
    if "value" not in option:
        return None
    if isinstance(value, bool):
        # YAML reads on and off as true and false.
        return ("on" if value else "off") if "on" in option.get("allowed", ()) else None
    if isinstance(value, str) and value:
        return value
    return str(value) if isinstance(value, int | float) else None


def _listed_twice(options: Mapping[str, object]) -> Iterator[OptionProblem]:
    """An option under two of its names: which one counts is llama-server's decision."""
    seen: dict[str, str] = {}
    for name in options:
        first = _known()[name]["names"][0] if name in _known() else name
        if first in seen:
            yield OptionProblem(name, f"is the same option as {seen[first]}", "one of them")
        seen.setdefault(first, name)
