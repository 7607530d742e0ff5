"""How much memory llama-server needs for a model: weights, KV cache, buffers, itself.

The numbers come from the header of the GGUF file where this machine has it, else from the entry of
the catalogue. docs/models.md has the formulas, and measurements beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.config.field_types import MEBIBYTE
from components.config.gguf_header import Omitted, UnreadableHeaderError, Value, read_header
from components.config.kv_cache import (
    CACHE_TYPE_BYTES,
    DEFAULT_CACHE_TYPE,
    CacheSettings,
    Metadata,
    cache_bytes,
    is_encoder,
)
from components.config.model import Model
from components.config.model_files import part_names
from components.config.model_numbers import ModelNumbers
from components.config.problems import Problem, Source

# Tokens that llama-server computes at once for chat, as app/inference starts it. For embeddings it
# computes a whole context.
BATCH_TOKENS = 512
# The program, its threads and its libraries, and the process that starts it.
SERVER_BYTES = 48 * MEBIBYTE
# Text, score and index of one token of the vocabulary.
VOCABULARY_BYTES = 320
# Without a header: buffers and llama-server, which grow with the model up to a limit.
LEAST_OVERHEAD = 96 * MEBIBYTE
OVERHEAD_SHARE = 16
MOST_OVERHEAD = 256 * MEBIBYTE
# llama-server keeps earlier prompts in a share of the container's memory, up to a limit.
PROMPT_CACHE_SHARE = 10
MOST_PROMPT_CACHE = 2048 * MEBIBYTE


@dataclass(frozen=True)
class ModelNeeds:
    """What decides about the memory of a model."""

    weights: int
    """Bytes of all its files, with projector, adapters and draft model."""
    cache: CacheSettings
    flash_attention: bool = True
    every_output: bool = False
    """Whether each token of a batch has an output, as for embeddings, and not only the last."""
    numbers: ModelNumbers | None = None
    """In the catalogue, for a model whose file is elsewhere."""
    header: Mapping[str, Value] | None = None
    draft_header: Mapping[str, Value] | None = None
    on_gpu: bool = False
    """Then the GPU's memory has the weights and the KV cache."""


@dataclass(frozen=True)
class Estimate:
    """Bytes that a model needs."""

    weights: int
    kv_cache: int | None
    """None where neither a header nor the entry has its size."""
    overhead: int
    """Buffers, and llama-server."""
    context: int
    slots: int

    @property
    def total(self) -> int:
        return self.weights + (self.kv_cache or 0) + self.overhead

    @property
    def with_prompt_cache(self) -> int:
        """What a container needs, with the share of it that holds earlier prompts."""
        share = -(-self.total // (PROMPT_CACHE_SHARE - 1))
        return self.total + min(share, MOST_PROMPT_CACHE)

    def __str__(self) -> str:
        slots = f"{self.slots} slot{'s' if self.slots > 1 else ''} of {self.context} tokens"
        parts = {
            "weights": self.weights,
            f"KV cache of {slots}": self.kv_cache,
            "buffers and llama-server": self.overhead,
        }
        return ", ".join(f"{name} {mebibytes(size)}" for name, size in parts.items() if size)


def estimate(needs: ModelNeeds) -> Estimate:
    """The memory of a model: rather too high than too low where a header has less to say."""
    cache = needs.cache
    if needs.header is not None:
        overhead = _buffers(needs.header, needs) + SERVER_BYTES
        overhead += _vocabulary(needs.header) * VOCABULARY_BYTES
    else:
        overhead = min(LEAST_OVERHEAD + needs.weights // OVERHEAD_SHARE, MOST_OVERHEAD)
    overhead += _outputs(needs)
    if needs.draft_header is not None:
        overhead += _buffers(needs.draft_header, needs)
    if needs.on_gpu:
        return Estimate(0, 0, overhead, cache.context, cache.slots)
    return Estimate(needs.weights, _kv_cache(needs), overhead, cache.context, cache.slots)


def model_memory(model: Model, *, on_gpu: bool = False) -> Estimate:
    """The memory of a model of the catalogue, as app/inference starts llama-server with it."""
    batch = BATCH_TOKENS if model.task == "chat" else model.context
    cache = CacheSettings(
        model.context,
        model.slots,
        model.cache_type or DEFAULT_CACHE_TYPE,
        batch=batch,
        whole_windows="--swa-full" in model.options,
    )
    local = [model.path, *(file.path for file in model.extra_files if file.size is None)]
    needs = ModelNeeds(
        model.known_size + sum(map(_local_size, local[1:] if model.size else local)),
        cache,
        flash_attention=model.flash_attention != "off",
        every_output=model.task != "chat",
        numbers=model.numbers,
        header=local_header(model.path),
        draft_header=local_header(model.draft.path) if model.draft else None,
        on_gpu=on_gpu,
    )
    return estimate(needs)


def local_header(path: str | None) -> Mapping[str, Value] | None:
    """The header of a GGUF file that this machine has; None where it has none that is readable."""
    if path is None or not Path(path).is_file():
        return None
    try:
        return read_header(Path(path))
    except (OSError, UnreadableHeaderError):
        # The container checks the file when it starts.
        return None


def _local_size(path: str | None) -> int:
    """Of a file, and of all parts of a split model; 0 where this machine has none."""
    names = part_names(path) if path else []
    return sum(Path(name).stat().st_size for name in names if Path(name).is_file())


def memory_problem(
    needed: Mapping[str, Estimate], *, service: str, memory: int, source: Source
) -> Problem | None:
    """The problem of a service whose `memory` cannot hold its models.

    :param needed: of the models that are in memory at once, by name.
    """
    if sum(one.total for one in needed.values()) <= memory:
        return None
    models = " and ".join(f"{name!r}, which needs {one}" for name, one in needed.items())
    enough = sum(one.with_prompt_cache for one in needed.values())
    return source.problem(
        ("services", service, "memory"),
        f"cannot hold the model{'s' if len(needed) > 1 else ''} {models}",
        found=f"{memory // MEBIBYTE}MiB",
        allowed=f"allowed: at least {-(-enough // MEBIBYTE)}MiB",
    )


def mebibytes(size: int) -> str:
    """A size for people, rounded up."""
    return f"{-(-size // MEBIBYTE)} MiB"


def _kv_cache(needs: ModelNeeds) -> int | None:
    draft = cache_bytes(needs.draft_header, needs.cache) if needs.draft_header else 0
    if needs.header is not None:
        return cache_bytes(needs.header, needs.cache) + draft
    numbers = needs.numbers
    if numbers is None or numbers.kv_bytes_per_token is None:
        return None
    share = CACHE_TYPE_BYTES[needs.cache.cache_type] / CACHE_TYPE_BYTES[DEFAULT_CACHE_TYPE]
    slot = numbers.kv_bytes_per_token * share * needs.cache.context + numbers.kv_bytes_per_slot
    return int(slot) * needs.cache.slots + draft


def _buffers(header: Mapping[str, Value], needs: ModelNeeds) -> int:
    """Numbers of 32 bits for each token of a batch between two layers, and the attention's mask."""
    model, cache = Metadata(header), needs.cache
    inner = max(
        model.most("feed_forward_length"),
        model.most("expert_feed_forward_length") * max(1, model.number("expert_used_count")),
    )
    per_token = 4 * (8 * model.number("embedding_length") + 2 * inner) + 2 * cache.context
    if not needs.flash_attention:
        per_token += 4 * model.most("attention.head_count") * cache.context
    return cache.batch * per_token


def _outputs(needs: ModelNeeds) -> int:
    """A number of 32 bits for each word of the vocabulary: where it is computed, and a copy.

    llama-server has them for embeddings too, and for encoders, which compute none, the copy.
    """
    if needs.header is not None:
        vocabulary = _vocabulary(needs.header)
    else:
        vocabulary = needs.numbers.vocabulary if needs.numbers else 0
    encoder = needs.header is not None and is_encoder(needs.header)
    outputs = needs.cache.batch if needs.every_output else needs.cache.slots
    return 4 * outputs * vocabulary * (1 if encoder else 2)


def _vocabulary(header: Mapping[str, Value]) -> int:
    tokens = header.get("tokenizer.ggml.tokens")
    return tokens.length if isinstance(tokens, Omitted) else 0
