"""Reads a client's request to a model, within limits.

The schema of the API checks the fields, which reach the model server unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from starlette.requests import Request

from app.chat.access.token_estimate import estimated_prompt
from app.chat.apis.api import Api
from app.chat.fleet.body_cap import BodyCap
from app.chat.openai.errors import ApiError
from app.chat.relay.form_body import FormFile, parse_form, write_form
from app.chat.relay.request_body import read_body
from app.chat.schema.form_fields import form_fields, typed_fields
from app.chat.schema.json_body import parse_body
from app.chat.schema.media import Media, media_of
from app.chat.schema.model_limits import check_context, check_weight, texts_in, weight_of
from app.chat.settings import AUTO_MODEL, GatewaySettings

# A second of compressed speech has about 4 kB, and 25 tokens.
_FILE_BYTES_PER_TOKEN = 160
_MAY_HAVE_MEDIA = re.compile(rb"image|audio|video|file")


@dataclass(frozen=True)
class Task:
    """A request to a model server. It is small, because it is kept until the response ends.

    :param streams: whether the client asked for a stream.
    :param piecewise: whether the model server is asked for a stream.
    :param prompt: fingerprints of the prefixes of the prompt.
    :param payload: the body of the request.
    :param weight: how many texts it asks for, each of which takes a slot of the model server.
    :param content_type: of the payload.
    """

    api: Api
    streams: bool
    piecewise: bool
    prompt: Sequence[int]
    payload: bytes = field(repr=False)
    weight: int = 1
    content_type: str = "application/json"


@dataclass(frozen=True)
class GenerationRequest:
    """A request from a client. Parsed JSON can be large, so it is not kept while waiting."""

    api: Api
    model: str
    streams: bool
    body: dict[str, Any] = field(repr=False)
    raw: bytes = field(repr=False)
    file: FormFile | None = field(default=None, repr=False)

    def task_for(self, model: str, prompt: Sequence[int]) -> Task:
        """The task for the chosen model; the payload is the client's own body if possible."""
        if self.file is not None:
            return self._form_task(self.file, model, prompt)
        adapted = self.api.adapted(self.body)
        changes: dict[str, Any] = {}
        if self.model != self.body.get("model") or self.model != model:
            changes["model"] = model
        piecewise = self.streams or self.api.assembled(self.body)
        if piecewise and not self.streams:
            # Stream from the model server: tokens show progress, and it notices a disconnect.
            assert self.api.stream is not None
            changes |= {"stream": True, **self.api.stream.options}
        same = adapted is self.body and not changes
        payload = self.raw if same else _json({**adapted, **changes})
        return Task(self.api, self.streams, piecewise, prompt, payload, self.weight)

    def _form_task(self, file: FormFile, model: str, prompt: Sequence[int]) -> Task:
        texts = form_fields({**self.body, "model": model})
        assert self.api.file is not None
        content_type, payload = write_form(texts, {self.api.file: file})
        return Task(self.api, self.streams, self.streams, prompt, payload, 1, content_type)

    @cached_property
    def weight(self) -> int:
        """How many texts it asks for."""
        return weight_of(self.body) if self.api.generates else 1

    @property
    def prompt_tokens(self) -> int:
        """An estimate, until the model server reports their number."""
        if self.file is None:
            media = media_of(self.body) if _MAY_HAVE_MEDIA.search(self.raw) else Media()
            return estimated_prompt(len(self.raw) - media.characters) + media.tokens
        texts = sum(len(text) for _, text in form_fields(self.body))
        return estimated_prompt(texts) + len(self.file.content) // _FILE_BYTES_PER_TOKEN

    def check(self, model: str, context: int | None, slots: int) -> None:
        """Raise ApiError 400 for a request that the chosen model cannot answer.

        :param slots: of one replica.
        """
        self.api.schema.check_required(self.body)
        if self.file is None:
            texts = texts_in(self.body) if self.api.separate_texts else 1
            check_context(self.body, len(self.raw), texts, model, context)
        check_weight(self.body, self.weight, model, slots)


async def read_request(
    request: Request, api: Api, settings: GatewaySettings, cap: Callable[[], BodyCap | None]
) -> GenerationRequest:
    """Read and check a body; raises ApiError 400, 408, 413, 415, or 429 if the memory is full.

    :param cap: returns what any model can use.
    """
    raw = await read_body(request, settings.limits, cap)
    file = None
    if api.file is None:
        body = parse_body(raw, settings.limits.body_values)
    else:
        form = await parse_form(request.headers.get("content-type", ""), raw)
        file = form.only_file(api.file)
        raw, body = b"", typed_fields(form.texts)
    model = body.get("model")
    if model is None and api.needs_model:
        raise ApiError(400, "'model': is missing", code="invalid_request", param="model")
    api.schema.check(body, settings.unknown_fields)
    streams = bool(body.get("stream")) and api.stream is not None
    return GenerationRequest(api, model or AUTO_MODEL, streams, body, raw, file)


def _json(value: Mapping[str, Any]) -> bytes:
    # Other characters as they are: escaped, they need up to three times as many bytes.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
