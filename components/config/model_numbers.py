"""Numbers of a model that its file has too, for the memory estimate where the file is elsewhere."""

from __future__ import annotations

from pydantic import Field

from components.config.schema import StrictModel


class ModelNumbers(StrictModel):
    """Numbers from a model's configuration. The preview counts only what is known."""

    kv_bytes_per_token: int | None = Field(
        default=None,
        gt=0,
        description="of the KV cache with 16 bits per number: 2 bytes * layers that keep all "
        "tokens * KV heads * (length of a key + length of a value)",
    )
    kv_bytes_per_slot: int = Field(
        default=0,
        ge=0,
        description="what a slot needs at any context: layers with a sliding window, or with a "
        "state instead of a cache",
    )
    vocabulary: int = Field(
        default=0, ge=0, description="tokens; counts for embedding and rerank only"
    )
