"""HTTP client for the model servers; classifies their failures.

aiohttp instead of httpx, because its parser is written in C: a chunk takes a sixth of the CPU time
(`python -m benchmarks.gateway_clients` measures both).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiohttp

from app.chat.fleet.replica import UNKNOWN_HOST, Health, Replica, State
from app.chat.openai import sse
from app.chat.openai.errors import ApiError

# llama-server closes idle connections after 5 s: do not reuse one shortly before.
_KEEP_IDLE_SECONDS = 4.0
# An open connection costs an idle llama-server CPU time: 0.7 % of a CPU with one that stays open
# between health checks, 0.0 % without.
_CLOSE_CONNECTION = {"connection": "close"}
# A replaced container keeps its name and gets another IP address.
_DNS_CACHE_SECONDS = 2
_CONNECTOR_OPTIONS: Any = {
    "limit": 0,
    "keepalive_timeout": _KEEP_IDLE_SECONDS,
    "ttl_dns_cache": _DNS_CACHE_SECONDS,
}
_LONGEST_ERROR_BYTES = 64 * 1024
_LONGEST_MESSAGE = 1000
# The fields of a model server's error object that clients get.
_PUBLIC_ERROR_FIELDS = ("n_prompt_tokens", "n_ctx")
# The server does not support the endpoint (llama-server without --embeddings): do not retry.
_NOT_SUPPORTED = 501


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
    """

    error: ApiError
    retry: Retry
    blame: bool


class UpstreamClient:
    """A connection pool for model servers of the stack, and one for external services.

    The first ignores HTTP_PROXY and similar variables: requests inside the stack use no proxy.
    """

    def __init__(self, connect_seconds: float) -> None:
        self._internal = _session(
            connect_seconds, aiohttp.TCPConnector(**_CONNECTOR_OPTIONS), trust_env=False
        )
        self._external = _session(
            connect_seconds,
            aiohttp.TCPConnector(ssl=external_tls(), **_CONNECTOR_OPTIONS),
            trust_env=True,
        )

    async def close(self) -> None:
        await self._internal.close()
        await self._external.close()

    async def open(
        self, replica: Replica, path: str, body: bytes, request_id: str
    ) -> aiohttp.ClientResponse:
        """Send a request; returns after the headers of a response with status 200.

        The client's headers are not forwarded: one of them makes llama-server generate on after a
        disconnect, and the gateway's API keys must not leave the gateway.
        Raises UpstreamFailure.
        """
        headers = {"content-type": "application/json", "x-request-id": request_id}
        if replica.host is not None:
            headers["host"] = replica.host
        if replica.token is not None:
            headers["authorization"] = f"Bearer {replica.token}"
        try:
            response = await self._post(replica, path, body, headers)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unreachable(replica, error) from error
        if response.status == 200:
            return response
        try:
            content = await response.content.read(_LONGEST_ERROR_BYTES)
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(replica, error) from error
        finally:
            response.close()
        raise _refusal(replica, response.status, response.headers, content)

    async def _post(
        self, replica: Replica, path: str, body: bytes, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        session = self._external if replica.external else self._internal
        url = replica.api_url + path
        try:
            return await session.post(url, data=body, headers=headers, allow_redirects=False)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # llama-server closes each connection after a hundred requests, silently. Not the
            # replica's fault, and nothing was generated: retry once.
            return await session.post(url, data=body, headers=headers, allow_redirects=False)

    async def check_health(self, replica: Replica, seconds: float) -> Health:
        """The health of a replica; connection errors are reported as DOWN."""
        assert replica.health_url is not None
        try:
            async with (
                asyncio.timeout(seconds),
                self._get(replica, replica.health_url, **_CLOSE_CONNECTION) as response,
            ):
                content = await response.content.read(_LONGEST_ERROR_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Health(State.DOWN, _reason(error))
        if response.status == 200:
            return Health(State.READY)
        if _is_loading(response.status, content):
            return Health(State.LOADING, "the model is loading")
        return Health(State.DOWN, f"its health check returned status {response.status}")

    async def is_draining(self, replica: Replica, seconds: float) -> bool | None:
        """Whether the replica reports that it is draining; None without a response."""
        assert replica.status_url is not None
        try:
            async with asyncio.timeout(seconds), self._get(replica, replica.status_url) as response:
                return b"draining" in await response.content.read(_LONGEST_ERROR_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    def _get(
        self, replica: Replica, url: str, **headers: str
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if replica.host is not None:
            headers["host"] = replica.host
        return self._internal.get(url, headers=headers)


def _session(
    connect_seconds: float, connector: aiohttp.TCPConnector, *, trust_env: bool
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds),
        headers={"accept-encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=trust_env,
    )


def external_tls(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext | bool:
    """TLS settings that trust the image's authorities and those in EXTRA_CA_FILE.

    True is aiohttp's default, which trusts only the image's authorities.
    """
    extra = environ.get("EXTRA_CA_FILE")
    if not extra:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(extra)
    return context


def unreachable(replica: Replica, error: Exception) -> UpstreamFailure:
    """The failure of a connection that could not be opened or broke before the first token."""
    reason = _reason(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        replica.mark_unreachable(reason)
    message = f"cannot reach the model server: {reason}"
    failure = ApiError(502, message, code="upstream_unreachable", retry_after=2)
    return UpstreamFailure(failure, Retry.ANYWHERE, blame=True)


def lost_upstream(message: str) -> ApiError:
    """The error for a response that ended before it was complete."""
    return ApiError(502, message, code="upstream_lost")


def error_object(content: bytes) -> dict[str, Any]:
    """The error object of a model server's response; empty if there is none."""
    try:
        parsed = json.loads(content)
    except ValueError:
        return {}
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def reported_error(events: bytes) -> ApiError:
    """The error that a model server reported as an event in its stream."""
    for payload in sse.payloads(events):
        error = payload.get("error")
        if isinstance(error, dict):
            code = error.get("code")
            if isinstance(code, int) and 400 <= code < 500:
                return public_error(code, error)
    return lost_upstream("the model server failed")


def public_error(status: int, error: Mapping[str, Any]) -> ApiError:
    """A model server's error, with only the fields that are public."""
    code = error.get("code")
    param = error.get("param")
    kind = error.get("type")
    return ApiError(
        status,
        str(error.get("message", f"the model server rejected the request (status {status})"))[
            :_LONGEST_MESSAGE
        ],
        code=code if isinstance(code, str) else str(kind or "upstream_refused"),
        param=param if isinstance(param, str) else None,
        extra={key: error[key] for key in _PUBLIC_ERROR_FIELDS if key in error},
    )


def _refusal(
    replica: Replica, status: int, headers: Mapping[str, str], content: bytes
) -> UpstreamFailure:
    if status in (401, 403) and replica.token is not None:
        message = "the upstream service rejected the gateway's token"
        refused = ApiError(502, message, code="upstream_auth")
        return UpstreamFailure(refused, Retry.NOWHERE, blame=True)
    if status == 429:
        wait = headers.get("retry-after", "")
        after = float(wait) if wait.isdigit() else 10.0
        message = "the rate limit of the upstream service is reached"
        busy = ApiError(429, message, code="upstream_rate_limit", retry_after=after)
        return UpstreamFailure(busy, Retry.ELSEWHERE, blame=False)
    if 400 <= status < 500 or status == _NOT_SUPPORTED:
        wrong = public_error(status, error_object(content))
        return UpstreamFailure(wrong, Retry.NOWHERE, blame=False)
    if _is_loading(status, content):
        replica.health = Health(State.LOADING, "the model is loading")
        replica.check_now.set()
        loading = ApiError(503, "the model is loading", code="model_loading", retry_after=5)
        return UpstreamFailure(loading, Retry.ELSEWHERE, blame=False)
    # The text of a server error may contain paths and IP addresses, so clients do not get it. One
    # bad request can cause a 500 on every replica, so a 500 is not the replica's fault.
    message = f"the model server failed (status {status})"
    failed = ApiError(502, message, code="upstream_failed", retry_after=2)
    return UpstreamFailure(failed, Retry.ELSEWHERE, blame=status != 500)


def _is_loading(status: int, content: bytes) -> bool:
    """How llama-server answers while it loads, and its container while it downloads a model."""
    return status == 503 and b'"unavailable_error"' in content


def _reason(error: Exception) -> str:
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
        case _:
            return "the connection was lost"
