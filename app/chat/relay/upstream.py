"""Opens requests to the model servers, and says what a failure of one means.

aiohttp instead of httpx, because its parser is C: a streamed chunk costs a sixth of the processor
time (`python -m benchmarks.gateway_clients` measures both).
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

from app.chat.fleet.replica import NAME_NOT_KNOWN, Health, Replica, State
from app.chat.openai.errors import ApiError
from app.chat.relay import sse

# llama-server closes idle connections after 5 s; a connection is not used again shortly before.
_KEEP_IDLE_SECONDS = 4.0
# Until then it keeps looking after each one, which is all that an idle model costs: measured as
# 0.7 % of a processor with a connection kept from one health check to the next, 0.0 % without.
_ASKED_SELDOM = {"connection": "close"}
# A replaced container keeps its name and gets another address.
_KNOW_NAME_SECONDS = 2
_POOL: Any = {
    "limit": 0,
    "keepalive_timeout": _KEEP_IDLE_SECONDS,
    "ttl_dns_cache": _KNOW_NAME_SECONDS,
}
_LONGEST_ERROR_BYTES = 64 * 1024
_LONGEST_MESSAGE = 1000
# What a client may read of a model server's own error object.
_PUBLIC_ERROR_FIELDS = ("n_prompt_tokens", "n_ctx")
# The server has no such function (llama-server without --embeddings); another try changes nothing.
_NOT_SUPPORTED = 501


class Retry(StrEnum):
    """Where another try may help."""

    NOWHERE = "nowhere"
    # A server that refused or failed would do the same again, and work for it again.
    ELSEWHERE = "elsewhere"
    ANYWHERE = "anywhere"


@dataclass(eq=False)
class UpstreamFailure(Exception):
    """A replica did not answer as it should.

    :param error: what the client is told if no other try helps.
    :param retry: where another try may help.
    :param blame: whether it speaks against the replica (rather than against the request).
    """

    error: ApiError
    retry: Retry
    blame: bool


class Upstream:
    """One connection pool for all the model servers, and one for what is outside of the stack.

    The first ignores HTTP_PROXY and its like: requests between services never go to a proxy.
    """

    def __init__(self, connect_seconds: float) -> None:
        self._inside = _session(connect_seconds, aiohttp.TCPConnector(**_POOL), trust_env=False)
        self._outside = _session(
            connect_seconds, aiohttp.TCPConnector(ssl=outside_tls(), **_POOL), trust_env=True
        )

    async def close(self) -> None:
        await self._inside.close()
        await self._outside.close()

    async def open(
        self, replica: Replica, path: str, body: bytes, request_id: str
    ) -> aiohttp.ClientResponse:
        """Send a request; returns once the head of a good answer is there.

        No header of the client is passed on: llama-server keeps generating after a client went
        away when asked to by a header, and a key of the gateway is nobody else's business.
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
        session = self._outside if replica.external else self._inside
        url = replica.api_url + path
        try:
            return await session.post(url, data=body, headers=headers, allow_redirects=False)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # llama-server closes each connection after a hundred requests, without a word. That
            # speaks against nobody, and no token was made.
            return await session.post(url, data=body, headers=headers, allow_redirects=False)

    async def ask_health(self, replica: Replica, seconds: float) -> Health:
        """What the replica's health address says; never raises for a replica in trouble."""
        assert replica.health_url is not None
        try:
            async with (
                asyncio.timeout(seconds),
                self._ask(replica, replica.health_url, **_ASKED_SELDOM) as response,
            ):
                content = await response.content.read(_LONGEST_ERROR_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Health(State.DOWN, _reason(error))
        if response.status == 200:
            return Health(State.READY)
        if _loads(response.status, content):
            return Health(State.LOADING, "the model is being loaded")
        return Health(State.DOWN, f"its health check answered {response.status}")

    async def is_draining(self, replica: Replica, seconds: float) -> bool | None:
        """Whether the replica says that it is about to end; None where it says nothing."""
        assert replica.status_url is not None
        try:
            async with asyncio.timeout(seconds), self._ask(replica, replica.status_url) as response:
                return b"draining" in await response.content.read(_LONGEST_ERROR_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    def _ask(
        self, replica: Replica, url: str, **headers: str
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if replica.host is not None:
            headers["host"] = replica.host
        return self._inside.get(url, headers=headers)


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


def outside_tls(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext | bool:
    """TLS that trusts the image's authorities, and those in the file that EXTRA_CA_FILE names.

    True is aiohttp's own default, which trusts the former.
    """
    extra = environ.get("EXTRA_CA_FILE")
    if not extra:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(extra)
    return context


def unreachable(replica: Replica, error: Exception) -> UpstreamFailure:
    """The failure of a connection that could not be made, or broke before the first token."""
    reason = _reason(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        replica.lost(reason)
    message = f"the model server could not be reached: {reason}"
    failure = ApiError(502, message, code="upstream_unreachable", retry_after=2)
    return UpstreamFailure(failure, Retry.ANYWHERE, blame=True)


def broken_off(message: str) -> ApiError:
    """What a client is told when an answer ends before its end."""
    return ApiError(502, message, code="upstream_lost")


def error_object(content: bytes) -> dict[str, Any]:
    """The error object of a model server's answer; empty when there is none."""
    try:
        parsed = json.loads(content)
    except ValueError:
        return {}
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def reported_error(events: bytes) -> ApiError:
    """The error that a model server reported as an event of its stream."""
    for payload in sse.payloads(events):
        error = payload.get("error")
        if isinstance(error, dict):
            code = error.get("code")
            if isinstance(code, int) and 400 <= code < 500:
                return public_error(code, error)
    return broken_off("the model server failed")


def public_error(status: int, error: Mapping[str, Any]) -> ApiError:
    """A model server's own error, with the fields that are meant for the client and no other."""
    code = error.get("code")
    param = error.get("param")
    kind = error.get("type")
    return ApiError(
        status,
        str(error.get("message", f"the model server refused the request ({status})"))[
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
        message = "the upstream service refuses the gateway's own token"
        refused = ApiError(502, message, code="upstream_auth")
        return UpstreamFailure(refused, Retry.NOWHERE, blame=True)
    if status == 429:
        wait = headers.get("retry-after", "")
        after = float(wait) if wait.isdigit() else 10.0
        message = "the upstream service limits the rate of requests"
        busy = ApiError(429, message, code="upstream_rate_limit", retry_after=after)
        return UpstreamFailure(busy, Retry.ELSEWHERE, blame=False)
    if 400 <= status < 500 or status == _NOT_SUPPORTED:
        wrong = public_error(status, error_object(content))
        return UpstreamFailure(wrong, Retry.NOWHERE, blame=False)
    if _loads(status, content):
        replica.health = Health(State.LOADING, "the model is being loaded")
        replica.doubt.set()
        loading = ApiError(503, "the model is being loaded", code="model_loading", retry_after=5)
        return UpstreamFailure(loading, Retry.ELSEWHERE, blame=False)
    # The text of a server's own failure may name files and addresses, so it stays here. One bad
    # request can cause a plain 500 on every replica, so that alone speaks against none of them.
    message = f"the model server failed (status {status})"
    failed = ApiError(502, message, code="upstream_failed", retry_after=2)
    return UpstreamFailure(failed, Retry.ELSEWHERE, blame=status != 500)


def _loads(status: int, content: bytes) -> bool:
    """llama-server answers so until it can be used, and its container while it fetches a model."""
    return status == 503 and b'"unavailable_error"' in content


def _reason(error: Exception) -> str:
    """Why a connection failed, without the address that the library's own words contain."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return NAME_NOT_KNOWN
        case aiohttp.ClientProxyConnectionError():
            return "the proxy cannot be reached"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refuses the connection (status {error.status})"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted"
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return "it does not answer in time"
        case aiohttp.ClientConnectorError():
            return "the connection is refused"
        case _:
            return "the connection broke"
