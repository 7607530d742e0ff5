"""Classifies what can go wrong between the gateway and a model server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiohttp

from app.chat.fleet.connection import ConnectFailed, ConnectionBroken
from app.chat.fleet.engine_refusals import public_fields, request_refusal
from app.chat.fleet.server import UNKNOWN_HOST, Server
from app.chat.openai import sse
from app.chat.openai.errors import ApiError

_LONGEST_MESSAGE = 1000
# The server does not support the endpoint (llama-server without --embeddings): do not retry.
_NOT_SUPPORTED = 501
_LONGEST_WAIT_SECONDS = 3600.0


class Retry(StrEnum):
    """Where to retry a failed request."""

    NOWHERE = "nowhere"
    # The same replica would fail again.
    ELSEWHERE = "elsewhere"
    ANYWHERE = "anywhere"


@dataclass(eq=False)
class UpstreamFailure(Exception):
    """A replica did not answer a request.

    :param error: the client gets it if no retry succeeds.
    :param retry: where to retry.
    :param blame: whether the replica is at fault, not the request.
    :param breaks: how often it may have been the request that broke a replica.
    """

    error: ApiError
    retry: Retry
    blame: bool
    breaks: int = 0


def unreachable(server: Server, error: Exception) -> UpstreamFailure:
    """The failure of a connection that could not be opened or broke before the first token."""
    reason = reason_of(error)
    if isinstance(error, aiohttp.ClientConnectorError | ConnectFailed):
        server.mark_unreachable(reason)
    message = f"cannot reach the model server: {reason}"
    failure = ApiError(502, message, code="upstream_unreachable", retry_after=2)
    # After it was sent whole, the request itself may have stopped the server.
    breaks = error.breaks if isinstance(error, ConnectionBroken) else 0
    return UpstreamFailure(failure, Retry.ANYWHERE, blame=True, breaks=breaks)


def lost_upstream(message: str) -> ApiError:
    """The error for a response that ended before it was complete."""
    return ApiError(502, message, code="upstream_lost")


def error_object(content: bytes) -> dict[str, Any]:
    """The error object of a model server's response; empty if there is none."""
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def reported_error(events: bytes) -> ApiError:
    """The error that a model server reported as an event in its stream."""
    for payload in sse.payloads(events):
        # llama-server's event for Anthropic's clients is the error object itself.
        error = payload.get("error", payload)
        if isinstance(error, dict):
            code = error.get("code")
            status = code if isinstance(code, int) else 500
            if 400 <= status < 500 or request_refusal(status, error):
                return public_error(status, error)
    return lost_upstream("the model server failed")


def public_error(status: int, error: Mapping[str, Any]) -> ApiError:
    """A model server's error, with only the fields that are public."""
    code = error.get("code")
    param = error.get("param")
    kind = error.get("type")
    if refusal := request_refusal(status, error):
        return ApiError(400, **refusal)
    return ApiError(
        # Clients retry a 501.
        400 if status == _NOT_SUPPORTED else status,
        str(error.get("message", f"the model server rejected the request (status {status})"))[
            :_LONGEST_MESSAGE
        ],
        code=code if isinstance(code, str) else str(kind or "upstream_refused"),
        param=param if isinstance(param, str) else None,
        extra=public_fields(error),
    )


def refusal(
    server: Server, status: int, retry_after: str | None, content: bytes
) -> UpstreamFailure:
    """The failure for a response of a model server that is not a success."""
    if status in (401, 403):
        # Not the status itself: a client would take it for a problem of its own key.
        message = f"the upstream service {key_problem(server)}"
        refused = ApiError(502, message, code="upstream_auth")
        return UpstreamFailure(refused, Retry.NOWHERE, blame=True)
    if status == 429:
        wait = retry_after or ""
        seconds = float(wait) if wait.isascii() and wait.isdigit() else 10.0
        after = min(seconds, _LONGEST_WAIT_SECONDS)
        message = "the rate limit of the upstream service is reached"
        busy = ApiError(429, message, code="upstream_rate_limit", retry_after=after)
        return UpstreamFailure(busy, Retry.ELSEWHERE, blame=False)
    error = error_object(content)
    if 400 <= status < 500 or status == _NOT_SUPPORTED or request_refusal(status, error):
        return UpstreamFailure(public_error(status, error), Retry.NOWHERE, blame=False)
    if is_loading(status, content):
        server.mark_loading()
        loading = ApiError(503, "the model is loading", code="model_loading", retry_after=5)
        return UpstreamFailure(loading, Retry.ELSEWHERE, blame=False)
    if server.most_loaded is not None and b"failed to load" in content:
        message = "the model server could not load the model"
        unloaded = ApiError(502, message, code="upstream_failed", retry_after=2)
        return UpstreamFailure(unloaded, Retry.ELSEWHERE, blame=True)
    # The text of a server error may contain paths and IP addresses, so clients do not get it. One
    # bad request can cause a 500 on every replica, so a 500 is not the replica's fault.
    message = f"the model server failed (status {status})"
    failed = ApiError(502, message, code="upstream_failed", retry_after=2)
    return UpstreamFailure(failed, Retry.ELSEWHERE, blame=status != 500, breaks=int(status == 500))


def key_problem(server: Server) -> str:
    """What is wrong with the API key that the gateway sends to a server."""
    return "requires an API key" if server.token is None else "rejected the gateway's API key"


def is_loading(status: int, content: bytes | bytearray) -> bool:
    """How servers answer while they load a model.

    llama-server, and its container while it downloads a model, by the type of the error; others
    only by its text.
    """
    return status == 503 and (b'"unavailable_error"' in content or b"loading" in content.lower())


def reason_of(error: Exception) -> str:
    """Why a connection failed, without the IP address that is in the library's message."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return UNKNOWN_HOST
        case aiohttp.ClientProxyConnectionError():
            return "the proxy cannot be reached"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refused the connection (status {error.status})"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted"
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return "no response in time"
        case aiohttp.ClientConnectorError():
            return "connection refused"
        case ConnectFailed():
            return str(error)
        case _:
            return "the connection was lost"
