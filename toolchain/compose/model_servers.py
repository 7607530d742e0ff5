"""Servers of models: which images they are, and which tasks their commands show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from toolchain.compose.interpolation import Variables
from toolchain.compose.known_images import repository
from toolchain.compose.yaml_file import Section

VLLM, SGLANG, OLLAMA, LLAMA_SWAP, LOCALAI = "vLLM", "SGLang", "Ollama", "llama-swap", "LocalAI"
LLAMA_CPP, TEI, WHISPER, SPEECH = "llama.cpp", "text-embeddings-inference", "Whisper", "speech"
_BY_IMAGE = (
    (r"text-embeddings-inference", TEI),
    (r"llama-swap", LLAMA_SWAP),
    (r"local-?ai(?:/|$)|localai", LOCALAI),
    (r"llama\.cpp|llama-cpp|llama-server", LLAMA_CPP),
    (r"whisper|speaches|parakeet", WHISPER),
    (r"kokoro|openedai-speech|piper|chatterbox", SPEECH),
    (r"sglang", SGLANG),
    (r"vllm", VLLM),
    (r"ollama/ollama$|(?:^|/)ollama(?:-|$)", OLLAMA),
)
_BY_COMMAND = (
    (r"\bvllm serve\b|vllm\.entrypoints\.openai", VLLM),
    (r"sglang\.launch_server|\bsglang serve\b", SGLANG),
    (r"\bllama-server\b", LLAMA_CPP),
    (r"\bllama-swap\b", LLAMA_SWAP),
    (r"text-embeddings-router", TEI),
)
_PORTS = {VLLM: 8000, SGLANG: 30000, OLLAMA: 11434, TEI: 80}
# What a server needs to start, where the compose file sets no limit: a model in memory.
_MEMORY = {VLLM: 16, SGLANG: 16, TEI: 4, WHISPER: 4, SPEECH: 4}
MEMORY_OF_OTHERS = 8
# Options that hold a key, and the variable that the server reads in place of each.
KEY_VARIABLES: Mapping[str, Mapping[str, str]] = {
    VLLM: {"--api-key": "VLLM_API_KEY"},
    LLAMA_CPP: {"--api-key": "LLAMA_API_KEY"},
    TEI: {"--api-key": "API_KEY"},
}


def command_text(service: Section, variables: Variables) -> str:
    """The entrypoint and the command as one text."""
    found = []
    for key in ("entrypoint", "command"):
        given = service.get(key)
        if isinstance(given, str):
            found.append(variables.plain(given))
        elif isinstance(given, list):
            found.extend(variables.plain(str(word)) for word in given)
    return " ".join(found)


def server_kind(service: Section, variables: Variables) -> str | None:
    """The kind of a model server; None for any other program."""
    command = command_text(service, variables)
    for pattern, kind in _BY_COMMAND:
        if re.search(pattern, command):
            return kind
    image = service.get("image")
    name = repository(image).lower() if isinstance(image, str) else ""
    for pattern, kind in _BY_IMAGE:
        if re.search(pattern, name):
            # A job that loads a model into a server is none itself.
            return None if kind == OLLAMA and re.search(r"\bpull\b", command) else kind
    return None


def tasks(kind: str, command: str) -> list[str]:
    """What the server's models do."""
    words = _split(command)
    value = _option(words, "--task", "--convert", "--runner") or ""
    models = " ".join(words).lower()
    rerank = "rerank" in models or value in {"score", "classify"}
    embedding = value in {"embed", "embedding", "pooling", "encode"} or "embed" in models
    match kind:
        case "Whisper":
            return ["transcription"]
        case "speech":
            return ["speech"]
        case "text-embeddings-inference":
            return ["rerank"] if rerank else ["embedding"]
        case "llama.cpp" | "vLLM" | "SGLang":
            if rerank:
                return ["rerank"]
            return ["embedding"] if embedding or "--is-embedding" in words else ["chat"]
        case "Ollama" | "LocalAI" | "llama-swap":
            return ["chat", "embedding"]
    return ["chat"]


def listening_port(kind: str | None, command: str) -> int | None:
    """The port that the command names, else the server's own."""
    given = _option(_split(command), "--port", "-port")
    if given and given.isdigit() and 0 < int(given) < 65536:
        return int(given)
    return (
        _PORTS.get(kind, 8080 if kind in {LLAMA_CPP, LLAMA_SWAP, LOCALAI} else None)
        if kind
        else None
    )


def served(kind: str, command: str, api_key: str | None) -> dict[str, Any]:
    """The key `serves`."""
    found: dict[str, Any] = {"models": "discover"}
    if kind == TEI:
        # It has no list of models; a request may name any.
        model = _option(_split(command), "--model-id") or "default"
        found = {"models": [model], "health": "/health"}
    if (of := tasks(kind, command)) != ["chat"]:
        found["tasks"] = of
    if api_key:
        found["api_key"] = api_key
    return found


def memory_of(kind: str) -> int:
    """GiB that a server without a limit gets."""
    return _MEMORY.get(kind, MEMORY_OF_OTHERS)


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _option(words: list[str], *names: str) -> str | None:
    for at, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in names:
            return value if equals else next(iter(words[at + 1 : at + 2]), None)
    return None
