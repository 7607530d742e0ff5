"""Size of a KV cache, computed from the header of a GGUF file as llama-server does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.config.gguf_header import Value

# Bytes of one number. Quantised ones come in blocks of 32 with a scale each.
CACHE_TYPE_BYTES: Mapping[str, float] = {
    **{"f32": 4, "f16": 2, "bf16": 2, "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32},
    **{"q4_1": 20 / 32, "q4_0": 18 / 32, "iq4_nl": 18 / 32},
}
DEFAULT_CACHE_TYPE = "f16"
# llama-server rounds the tokens of a cache up to a multiple of this.
CACHE_PADDING = 256
# Of these architectures every so many layers one attends to all tokens and the others to a window.
# The header has the window only; llama.cpp has the number in its code.
WINDOW_PERIODS: Mapping[str, int] = {
    **{"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "cohere2moe": 4},
    **{"exaone4": 4, "exaone-moe": 4, "llama4": 4, "olmo2": 4, "afmoe": 4, "smallthinker": 4},
    **{"gemma-embedding": 6, "plamo3": 8},
}


@dataclass(frozen=True)
class CacheSettings:
    """What a model's entry decides about its cache."""

    context: int
    slots: int
    cache_type: str = DEFAULT_CACHE_TYPE
    batch: int = 512
    whole_windows: bool = False
    """Whether layers with a window keep all tokens (`--swa-full`)."""


class Metadata:
    """The header's values for the architecture of its model."""

    def __init__(self, header: Mapping[str, Value]) -> None:
        self._header = header
        self.architecture = str(header.get("general.architecture"))

    def get(self, key: str) -> Value | None:
        return self._header.get(f"{self.architecture}.{key}")

    def number(self, key: str, default: int = 0) -> int:
        value = self.get(key)
        return int(value) if isinstance(value, int | float) else default

    def per_layer(self, key: str, layers: int) -> list[int]:
        """One number for each layer: the header has one for all of them, or a list."""
        value = self.get(key)
        if isinstance(value, tuple):
            return [int(one) for one in (*value, *[0] * layers)[:layers]]
        return [self.number(key)] * layers

    def most(self, key: str) -> int:
        """The largest number of all layers."""
        value = self.get(key)
        return int(max(value, default=0)) if isinstance(value, tuple) else self.number(key)


def cache_bytes(header: Mapping[str, Value], settings: CacheSettings) -> int:
    """The KV cache of all slots, and the state of layers without one."""
    return 0 if is_encoder(header) else _Attention(header).cache_bytes(settings)


def is_encoder(header: Mapping[str, Value]) -> bool:
    """Whether a model sees its whole input at once, and needs no cache."""
    return Metadata(header).get("attention.causal") is False


class _Attention:
    """What the layers of a model keep of each token."""

    def __init__(self, header: Mapping[str, Value]) -> None:
        self._keys = Metadata(header)
        self._layers = self._keys.number("block_count") - self._keys.number("nextn_predict_layers")

    def cache_bytes(self, settings: CacheSettings) -> int:
        """Of the KV cache of all slots, and of the state of layers without one."""
        keys, size = self._keys, CACHE_TYPE_BYTES[settings.cache_type]
        window = keys.number("attention.sliding_window")
        tokens = _padded(settings.context)
        in_window = (
            tokens if settings.whole_windows else min(tokens, _padded(window + settings.batch))
        )
        with_cache = self._layers - keys.number("attention.shared_kv_layers")
        recurrent, windowed = self._recurrent(), self._windowed(window)
        total = 0.0
        for layer, heads in enumerate(self._kv_heads()[:with_cache]):
            if not recurrent[layer]:
                kept = in_window if windowed[layer] else tokens
                total += heads * self._head_size(windowed[layer]) * kept * size
        return int(total * settings.slots) + sum(recurrent) * self._state_bytes() * settings.slots

    def _kv_heads(self) -> list[int]:
        key = "attention.head_count_kv"
        known = self._keys.get(key) is not None
        return self._keys.per_layer(key if known else "attention.head_count", self._layers)

    def _head_size(self, windowed: bool) -> int:
        """Numbers of key and value of one head."""
        keys = self._keys
        default = keys.number("embedding_length") // max(1, keys.most("attention.head_count"))
        key = keys.number("attention.key_length", default)
        value = keys.number("attention.value_length", default)
        if keys.number("attention.key_length_mla"):
            return key  # Multi-head latent attention: the value is a part of the key.
        if windowed:
            key = keys.number("attention.key_length_swa", key)
            value = keys.number("attention.value_length_swa", value)
        return key + value

    def _windowed(self, window: int) -> list[bool]:
        """Which layers keep the tokens of a window only."""
        key = "attention.sliding_window_pattern"
        if not window:
            return [False] * self._layers
        if isinstance(self._keys.get(key), tuple):
            return [bool(one) for one in self._keys.per_layer(key, self._layers)]
        period = self._keys.number(key, WINDOW_PERIODS.get(self._keys.architecture, 1))
        return [layer % period < period - 1 for layer in range(self._layers)]

    def _recurrent(self) -> list[bool]:
        """Which layers have a state of one size instead of a cache."""
        if isinstance(self._keys.get("attention.recurrent_layers"), tuple):
            return [
                bool(one)
                for one in self._keys.per_layer("attention.recurrent_layers", self._layers)
            ]
        if interval := self._keys.number("full_attention_interval"):
            return [(layer + 1) % interval != 0 for layer in range(self._layers)]
        if self._keys.number("ssm.state_size"):
            return [heads == 0 for heads in self._kv_heads()]
        return [False] * self._layers

    def _state_bytes(self) -> int:
        """Of one layer and slot: the last inputs of its convolution, and its state."""
        keys = self._keys
        inner, state = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
        inputs = max(0, keys.number("ssm.conv_kernel") - 1)
        return 4 * (inputs * (inner + 2 * keys.number("ssm.group_count") * state) + state * inner)


def _padded(tokens: int) -> int:
    return -(-tokens // CACHE_PADDING) * CACHE_PADDING
