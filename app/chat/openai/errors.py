"""Errors in the form that OpenAI's clients understand, and how every failure gets that form.

The form is `{"error": {"message", "type", "param", "code"}}`, as OpenAI's API reference gives it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from app.chat.middleware.request_record import record_of

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """A failure that the client is told about, in OpenAI's form.

    :param code: a word for programs, which stays the same across versions.
    :param retry_after: seconds after which another try makes sense; becomes the Retry-After header.
    :param extra: more fields of the error object, for example the model's own token counts.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_after: float | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = None if retry_after is None else max(1, math.ceil(retry_after))
        self.extra = dict(extra or {})

    @property
    def kind(self) -> str:
        """OpenAI's `type` of error, which follows from the status."""
        if self.status in _TYPES:
            return _TYPES[self.status]
        return "server_error" if self.status >= 500 else "invalid_request_error"

    @property
    def headers(self) -> dict[str, str]:
        headers = {}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return headers

    def body(self) -> bytes:
        """The error as a JSON document."""
        error = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
            **self.extra,
        }
        return json.dumps({"error": error}).encode()

    def response(self) -> Response:
        return Response(
            self.body(), self.status, headers=self.headers, media_type="application/json"
        )


def install_error_handlers(app: FastAPI) -> None:
    """Give every failure of `app` OpenAI's form, those of the framework included."""

    @app.exception_handler(ApiError)
    async def _api_error(request: Request, error: ApiError) -> Response:
        record_of(request).outcome = error.code
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"][1:]) or None
        return ApiError(400, first["msg"], code="invalid_request", param=param).response()

    @app.exception_handler(HTTPException)
    async def _http_error(request: Request, error: HTTPException) -> Response:
        words = {404: "not_found", 405: "method_not_allowed"}
        message = f"{request.method} {request.url.path}: {error.detail}"
        refused = ApiError(error.status_code, message, code=words.get(error.status_code, "http"))
        response = refused.response()
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        message = "the gateway failed; the request id leads to the reason in its log"
        return ApiError(500, message, code="internal").response()
