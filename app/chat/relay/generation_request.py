"""Reads a client's request to a model, within limits.

The schema of the API validates the fields. Those that it does not have pass through to the model
server unchanged: tools, schemas, grammars, sampling settings.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request

from app.chat.access.admission import body_account
from app.chat.apis.api import Api
from app.chat.openai.errors import ApiError
from app.chat.settings import AUTO_MODEL, Limits


@dataclass(frozen=True)
class Task:
    """A request to a model server. It is small, because it is kept until the response ends.

    :param streams: whether the client asked for a stream.
    :param piecewise: whether the model server is asked for a stream.
    :param prompt: fingerprints of the prefixes of the prompt.
    :param payload: the body of the request.
    """

    api: Api
    streams: bool
    piecewise: bool
    prompt: Sequence[int]
    payload: bytes = field(repr=False)


@dataclass(frozen=True)
class GenerationRequest:
    """A request from a client. Parsed JSON can be large, so it is not kept while waiting."""

    api: Api
    model: str
    streams: bool
    body: dict[str, Any] = field(repr=False)
    raw: bytes = field(repr=False)

    def task_for(self, model: str, prompt: Sequence[int]) -> Task:
        """The task for the chosen model; the payload is the client's own body if possible."""
        adapted = self.api.adapted(self.body)
        changes: dict[str, Any] = {}
        if self.model != self.body.get("model") or self.model != model:
            changes["model"] = model
        piecewise = self.streams or self.api.assembled(self.body)
        if piecewise and not self.streams:
            # Stream from the model server: tokens show progress.
            changes |= {"stream": True, "stream_options": {"include_usage": True}}
        same = adapted is self.body and not changes
        payload = self.raw if same else json.dumps({**adapted, **changes}).encode()
        return Task(self.api, self.streams, piecewise, prompt, payload)


async def read_request(request: Request, api: Api, limits: Limits) -> GenerationRequest:
    """Read and validate a body; raises ApiError 400, 408, 413, or 429 if the memory is full."""
    raw = await _read_body(request, limits)
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise ApiError(400, "the body is not valid JSON", code="invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object", code="invalid_json")
    try:
        fields = api.schema.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        param = str(first["loc"][0])
        message = f"'{param}': {first['msg']}"
        raise ApiError(400, message, code="invalid_request", param=param) from None
    if fields.model is None and api.needs_model:
        raise ApiError(400, "'model': Field required", code="invalid_request", param="model")
    streams = bool(fields.stream) and api.stream is not None
    return GenerationRequest(api, fields.model or AUTO_MODEL, streams, body, raw)


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
