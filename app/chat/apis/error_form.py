"""The form of error responses: OpenAI's, and Anthropic's below `/v1/messages`.

Sources: OpenAI's API reference; Anthropic's, "Errors".
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

_ANTHROPIC_PATH = "/v1/messages"
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_CONTEXT_CODES = ("context_length_exceeded", "exceed_context_size_error")


class ErrorContent(Protocol):
    """What an error response contains, in any form."""

    status: int
    message: str
    code: str
    param: str | None
    extra: dict[str, Any]

    @property
    def type(self) -> str:
        """OpenAI's `type`."""


class ErrorForm(ABC):
    """How an API reports errors."""

    @abstractmethod
    def document(self, error: ErrorContent, request_id: str) -> bytes:
        """The body of an error response, and of a late error in a JSON response."""

    @abstractmethod
    def event(self, error: ErrorContent, request_id: str) -> bytes:
        """The event of an error after the start of a stream."""

    def headers(self, request_id: str) -> Mapping[str, str]:
        """More headers of each response."""
        return {}


class OpenAiErrors(ErrorForm):
    """`{"error": {"message", "type", "param", "code"}}`."""

    def document(self, error: ErrorContent, request_id: str) -> bytes:
        return _json({"error": self._fields(error)})

    def event(self, error: ErrorContent, request_id: str) -> bytes:
        return b"data: " + self.document(error, request_id) + b"\n\n"

    def _fields(self, error: ErrorContent) -> dict[str, Any]:
        return {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
            **error.extra,
        }


class ResponsesErrors(OpenAiErrors):
    """OpenAI's form; in a stream of `/v1/responses` the named event `error`."""

    def event(self, error: ErrorContent, request_id: str) -> bytes:
        # The event's own fields are those of the API reference. OpenAI's client raises an exception
        # only for the field `error`.
        fields = {
            "type": "error",
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "error": self._fields(error),
        }
        return b"event: error\ndata: " + _json(fields) + b"\n\n"


class AnthropicErrors(ErrorForm):
    """`{"type": "error", "error": {"type", "message"}, "request_id"}`."""

    def document(self, error: ErrorContent, request_id: str) -> bytes:
        fields = {
            "type": self._type(error.status),
            "message": _anthropic_message(error),
            "code": error.code,
            **error.extra,
        }
        return _json({"type": "error", "error": fields, "request_id": request_id})

    def event(self, error: ErrorContent, request_id: str) -> bytes:
        return b"event: error\ndata: " + self.document(error, request_id) + b"\n\n"

    def headers(self, request_id: str) -> Mapping[str, str]:
        return {"request-id": request_id}

    def _type(self, status: int) -> str:
        return _ANTHROPIC_TYPES.get(
            status, "api_error" if status >= 500 else "invalid_request_error"
        )


OPENAI_ERRORS = OpenAiErrors()
RESPONSES_ERRORS = ResponsesErrors()
ANTHROPIC_ERRORS = AnthropicErrors()


def error_form_of(path: str) -> ErrorForm:
    """The form for a path, for errors that are raised before a route is known."""
    below = path == _ANTHROPIC_PATH or path.startswith(_ANTHROPIC_PATH + "/")
    return ANTHROPIC_ERRORS if below else OPENAI_ERRORS


def _anthropic_message(error: ErrorContent) -> str:
    """Claude Code shortens a conversation when it finds this text in the error."""
    tokens, most = error.extra.get("n_prompt_tokens"), error.extra.get("n_ctx")
    if error.code in _CONTEXT_CODES and isinstance(tokens, int) and isinstance(most, int):
        return f"prompt is too long: {tokens} tokens > {most} maximum"
    return error.message


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()
