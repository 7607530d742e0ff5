"""Reads a client's request to a model, within limits.

It validates only the fields that the gateway uses. All others pass through to the model server
unchanged: tools, schemas, grammars, sampling settings.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect, Request

from app.chat.access.admission import body_account
from app.chat.openai.errors import ApiError
from app.chat.settings import AUTO_MODEL, Limits


class GatewayFields(BaseModel):
    """The fields of a request body that the gateway uses."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str = Field(strict=True, min_length=1, max_length=200)
    stream: bool | None = Field(default=False, strict=True)


@dataclass(frozen=True)
class Task:
    """A request to a model server. It is small, because it is kept until the response ends.

    :param path: below the root of the API, for example `/chat/completions`.
    :param streams: whether the client asked for a stream.
    :param piecewise: whether the model server can stream this kind of response.
    :param prompt: fingerprints of the prefixes of the prompt.
    :param payload: the body of the request.
    """

    path: str
    streams: bool
    piecewise: bool
    prompt: Sequence[int]
    payload: bytes = field(repr=False)


@dataclass(frozen=True)
class GenerationRequest:
    """A request from a client. Parsed JSON can be large, so it is not kept while waiting."""

    path: str
    model: str
    streams: bool
    piecewise: bool
    body: dict[str, Any] = field(repr=False)
    raw: bytes = field(repr=False)

    def task_for(self, model: str, prompt: Sequence[int]) -> Task:
        """The task for the chosen model; the payload is the client's own body if possible."""
        changes: dict[str, Any] = {}
        if self.model == AUTO_MODEL:
            changes["model"] = model
        if self.piecewise and not self.streams:
            # Stream from the model server: tokens show progress, and it notices a disconnect.
            changes |= {"stream": True, "stream_options": {"include_usage": True}}
        payload = json.dumps({**self.body, **changes}).encode() if changes else self.raw
        return Task(self.path, self.streams, self.piecewise, prompt, payload)


async def read_request(
    request: Request, path: str, limits: Limits, *, piecewise: bool
) -> GenerationRequest:
    """Read and validate a body; raises ApiError 400, 408, 413, or 429 if the memory is full."""
    raw = await _read_body(request, limits)
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise ApiError(400, "the body is not valid JSON", code="invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object", code="invalid_json")
    try:
        fields = GatewayFields.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        param = str(first["loc"][0])
        message = f"'{param}': {first['msg']}"
        raise ApiError(400, message, code="invalid_request", param=param) from None
    streams = bool(fields.stream) and piecewise
    return GenerationRequest(path, fields.model, streams, piecewise, body, raw)


async def _read_body(request: Request, limits: Limits) -> bytes:
    too_large = ApiError(
        413, f"the body is larger than {limits.body_bytes} bytes", code="request_too_large"
    )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limits.body_bytes:
        raise too_large
    account = body_account(request)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                if len(body) + len(chunk) > limits.body_bytes:
                    raise too_large
                account.add(len(chunk))
                body += chunk
    except TimeoutError:
        message = f"the body did not arrive within {limits.body_seconds:g} s"
        raise ApiError(408, message, code="request_timeout") from None
    except ClientDisconnect:
        raise ApiError(499, "the client disconnected", code="client_gone") from None
    return bytes(body)
