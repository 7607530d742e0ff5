"""What a request may ask of its model: no more than its context and its slots allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.chat.openai.errors import ApiError
from app.chat.schema.media import media_of

# Words of European languages have about 5 bytes for each token, and JSON writes other characters
# with up to 12.
BYTES_PER_TOKEN = 16
# For what is not part of the prompt: schemas, grammars, names, settings.
ALLOWANCE = 256 * 1024


def check_context(
    body: Mapping[str, Any], size: int, texts: int, model: str, context: int | None
) -> None:
    """Raise ApiError 400 for a body that is larger than the model's context can mean.

    llama-server needs up to 140 bytes of memory for each byte of the body until it finds out.

    :param size: bytes of the body.
    :param texts: how many of them the model works on separately.
    """
    if context is None:
        return
    most = context * BYTES_PER_TOKEN * max(1, texts) + ALLOWANCE
    if size <= most or size - media_of(body).characters <= most:
        return
    raise ApiError(
        400,
        f"the request has {size} bytes, more than the context of '{model}' can hold: "
        f"{context} tokens, so at most {most} bytes (context_length_exceeded)",
        code="context_length_exceeded",
        extra={"n_ctx": context},
    )


def texts_in(body: Mapping[str, Any]) -> int:
    """How many texts a model server works on separately."""
    for name in ("prompt", "input", "content", "documents", "texts"):
        value = body.get(name)
        # A list of numbers is one text as tokens.
        if isinstance(value, list) and value and type(value[0]) is not int:
            return len(value)
    return 1


def check_weight(body: Mapping[str, Any], weight: int, model: str, slots: int) -> None:
    """Raise ApiError 400 for more texts at once than a replica of the model generates."""
    if weight <= slots:
        return
    prompts = texts_in(body) if "prompt" in body else 1
    param = "prompt" if prompts > 1 else "n"
    raise ApiError(
        400,
        f"'{param}': the request asks for {weight} texts at once; '{model}' generates {slots}. "
        "Send several requests",
        code="too_many_choices",
        param=param,
    )


def weight_of(body: Mapping[str, Any]) -> int:
    """How many texts a request asks for: the choices of each of its prompts."""
    prompts = texts_in(body) if "prompt" in body else 1
    choices = [body.get(name) for name in ("n", "n_cmpl", "best_of")]
    return prompts * max(int(number) for number in [*choices, 1] if number)
