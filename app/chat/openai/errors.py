"""Errors of the API, and exception handlers that give every error the form of its API."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.chat.apis.error_form import error_form_of
from app.chat.request_record import record_of

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """An error response.

    :param code: for programs; it does not change between versions.
    :param retry_after: seconds, for the Retry-After header.
    :param extra: more fields of the error object, for example token counts.
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
    def type(self) -> str:
        """OpenAI's `type` of the error, derived from the status."""
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
        if self.status == 415:
            headers["accept-encoding"] = "gzip, deflate, identity"
        return headers

    def response(self, scope: Scope) -> Response:
        """The response to the request of this scope, in the form of its API."""
        form = error_form_of(scope["path"])
        request_id = record_of(Request(scope)).request_id
        return Response(
            form.document(self, request_id),
            self.status,
            headers={**self.headers, **form.headers(request_id)},
            media_type="application/json",
        )


def install_error_handlers(app: FastAPI) -> None:
    """Give every error of `app` the form of its API, including those of the framework."""

    @app.exception_handler(ApiError)
    async def _api_error(request: Request, error: ApiError) -> Response:
        record_of(request).outcome = error.code
        return error.response(request.scope)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"][1:]) or None
        invalid = ApiError(400, first["msg"], code="invalid_request", param=param)
        return invalid.response(request.scope)

    @app.exception_handler(HTTPException)
    async def _http_error(request: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method_not_allowed"}
        message = f"{request.method} {request.url.path}: {error.detail}"
        api_error = ApiError(error.status_code, message, code=codes.get(error.status_code, "http"))
        response = api_error.response(request.scope)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        return internal_error().response(request.scope)


def internal_error() -> ApiError:
    """The error for an exception that nothing expects."""
    message = "internal error; the log of the gateway has the reason under this request id"
    return ApiError(500, message, code="internal")
