"""A client's request for tokens or embeddings: read within limits, checked as far as is ours to.

Only what the gateway itself needs is looked at. Everything else is between the client and the
model server and passes through as it came: tools, schemas, grammars, sampling settings.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect, Request

from .openai_errors import ApiError
from .prefix_affinity import fingerprints
from .settings import AUTO_MODEL, Limits


class Envelope(BaseModel):
    """The part of a request body that the gateway acts on."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str = Field(strict=True, min_length=1, max_length=200)
    stream: bool | None = Field(default=False, strict=True)


@dataclass(frozen=True)
class GenerationRequest:
    """One request as it goes to a model server.

    :param path: below the API's root, for example `/chat/completions`.
    :param streams: whether the client wants its answer in pieces.
    :param piecewise: whether the model server sends this kind of answer in pieces at all.
    :param prompt: fingerprints of the prompt's beginnings.
    """

    path: str
    model: str
    streams: bool
    piecewise: bool
    prompt: Sequence[int]
    body: dict[str, Any]
    raw: bytes

    def body_for(self, model: str) -> bytes:
        """The body for the model that was chosen; the client's own bytes where nothing differs."""
        changes: dict[str, Any] = {}
        if self.model == AUTO_MODEL:
            changes["model"] = model
        if self.piecewise and not self.streams:
            # Asked for in pieces all the same: that shows that it advances, and a stop is noticed.
            changes |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps({**self.body, **changes}).encode() if changes else self.raw


async def read_request(
    request: Request, path: str, limits: Limits, *, piecewise: bool
) -> GenerationRequest:
    """Read and check a body. Raises ApiError: 400, 408 or 413."""
    raw = await _read_body(request, limits)
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise ApiError(400, "the body is not JSON", code="invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the body has to be a JSON object", code="invalid_json")
    try:
        envelope = Envelope.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        param = str(first["loc"][0])
        message = f"'{param}': {first['msg']}"
        raise ApiError(400, message, code="invalid_request", param=param) from None
    return GenerationRequest(
        path=path,
        model=envelope.model,
        streams=bool(envelope.stream) and piecewise,
        piecewise=piecewise,
        prompt=fingerprints(body),
        body=body,
        raw=raw,
    )


async def _read_body(request: Request, limits: Limits) -> bytes:
    too_large = ApiError(
        413, f"the body is larger than {limits.body_bytes} bytes", code="request_too_large"
    )
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.body_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body_bytes:
                    raise too_large
    except TimeoutError:
        message = f"the body did not arrive within {limits.body_seconds:g} s"
        raise ApiError(408, message, code="request_timeout") from None
    except ClientDisconnect:
        raise ApiError(499, "the client went away", code="client_gone") from None
    return bytes(body)
