"""The largest body that any model of the gateway can use: larger ones are not read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from app.chat.apis.api import Api
from app.chat.fleet.pool import ModelPool
from app.chat.openai.errors import ApiError
from app.chat.schema.model_limits import ALLOWANCE, BYTES_PER_TOKEN


@dataclass(frozen=True)
class BodyCap:
    """The largest body, and the context that it fills."""

    size: int
    context: int

    def error(self) -> ApiError:
        """The refusal of a larger body, in the words that clients look for."""
        return ApiError(
            400,
            f"the request has more than {self.size} bytes, more than the context of any model "
            f"can hold: {self.context} tokens (context_length_exceeded)",
            code="context_length_exceeded",
            extra={"n_ctx": self.context},
        )


def body_cap(
    pools: Iterable[ModelPool], api: Api, allowed: Collection[str] | None = None
) -> BodyCap | None:
    """The cap for requests of an API; None without one, as for files, lists of texts and images.

    :param allowed: the models that the client may use; None for all.
    """
    if api.file is not None or (api.separate_texts and not api.generates):
        return None
    largest: BodyCap | None = None
    for pool in pools:
        if not any(task in pool.card.tasks for task in api.tasks):
            continue
        if allowed is not None and pool.card.id not in allowed:
            continue
        context, can = pool.context, pool.capabilities
        if context is None or not (can.vision is can.audio is False) or can.video:
            # Unknown, or images and recordings, which are larger than texts with as many tokens.
            return None
        texts = pool.slots_of_replica if api.separate_texts else 1
        size = context * BYTES_PER_TOKEN * texts + ALLOWANCE
        if largest is None or size > largest.size:
            largest = BodyCap(size, context)
    return largest
