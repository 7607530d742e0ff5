"""Sends requests to model servers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

import aiohttp

from app.chat.apis.api import Api
from app.chat.fleet.connection import ConnectionBroken, ConnectionPool, request_head
from app.chat.fleet.model_response import AiohttpResponse, ModelResponse, PooledResponse
from app.chat.fleet.server import Server
from app.chat.fleet.upstream_errors import refusal, unreachable

LONGEST_ERROR_BYTES = 64 * 1024
# URLs of the fleet whose parts are kept, so that not each request parses them.
_MOST_TARGETS = 1024


class ModelClient:
    """Uses its own connections for plain HTTP inside of the stack, and aiohttp for the rest.

    :param sessions: aiohttp's session for a server.
    """

    def __init__(self, connect_seconds: float, sessions: Mapping[bool, aiohttp.ClientSession]):
        self._pool = ConnectionPool(connect_seconds)
        self._sessions = sessions

    def close(self) -> None:
        self._pool.close()

    async def open(
        self,
        server: Server,
        api: Api,
        body: bytes,
        request_id: str,
        *,
        resend: bool,
        content_type: str = "application/json",
    ) -> ModelResponse:
        """Send a request; returns after the headers of a response with status 200.

        The client's headers are not forwarded: one of them makes llama-server generate on after a
        disconnect, and the gateway's API keys must not leave the gateway.
        Raises UpstreamFailure.

        :param resend: whether the request may be sent again where a connection broke: llama-server
            closes a connection that was idle for long or had many requests, without a notice.
        """
        url = (server.root_url if api.at_root else server.api_url) + api.upstream_path
        headers = {
            "content-type": content_type,
            "x-request-id": request_id,
            **identity(server),
        }
        try:
            if server.external or not url.startswith("http://"):
                response = await self._through_aiohttp(server, url, body, headers)
            else:
                response = await self._pooled(url, body, headers, resend=resend)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unreachable(server, error) from error
        if response.status == 200:
            return response
        try:
            content = await response.content(LONGEST_ERROR_BYTES)
        except OSError as error:
            raise unreachable(server, error) from error
        finally:
            response.close()
        raise refusal(server, response.status, response.header("retry-after"), content)

    async def _through_aiohttp(
        self, server: Server, url: str, body: bytes, headers: Mapping[str, str]
    ) -> ModelResponse:
        session = self._sessions[server.external]
        # aiohttp itself sends a request again where an idle connection was closed.
        response = await session.post(url, data=body, headers=headers, allow_redirects=False)
        return AiohttpResponse(response)

    async def _pooled(
        self, url: str, body: bytes, headers: Mapping[str, str], *, resend: bool
    ) -> ModelResponse:
        at, netloc, path = _target(url)
        head = request_head(path, {"host": netloc, **headers}, len(body))
        breaks = 0
        while True:
            connection = await self._pool.open(*at, fresh=bool(breaks))
            try:
                connection.request(head, body)
                response = PooledResponse(connection, self._pool, await connection.response_head())
            except ConnectionBroken as error:
                self._pool.release(connection)
                breaks += 1
                if not (resend and connection.reused and not error.responded and breaks == 1):
                    error.breaks = breaks
                    raise
            except BaseException:
                self._pool.release(connection)
                raise
            else:
                response.breaks = breaks
                return response


@lru_cache(maxsize=_MOST_TARGETS)
def _target(url: str) -> tuple[tuple[str, int], str, str]:
    """The address, the Host header and the path of a URL."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    return (parts.hostname, parts.port or 80), parts.netloc, parts.path


def identity(server: Server) -> dict[str, str]:
    """The headers that name the server, and the gateway to it."""
    headers = {}
    if server.host is not None:
        headers["host"] = server.host
    if server.token is not None:
        headers["authorization"] = f"Bearer {server.token}"
    return headers
