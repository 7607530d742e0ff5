"""HTTP client of the gateway: health checks of the model servers, and requests to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp

from app.chat.fleet.capabilities import Capabilities, read_capabilities
from app.chat.fleet.model_client import LONGEST_ERROR_BYTES, ModelClient, identity
from app.chat.fleet.model_list import LONGEST_LIST_BYTES, InvalidList, ModelList, read_model_list
from app.chat.fleet.router_list import is_sleeping, read_router_list
from app.chat.fleet.server import (
    ASLEEP,
    LOADING,
    WAKING,
    Health,
    Server,
    State,
)
from app.chat.fleet.upstream_errors import is_loading, key_problem, reason_of

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
        self.requests = ModelClient(connect_seconds, {False: self._internal, True: self._external})

    async def close(self) -> None:
        self.requests.close()
        await self._internal.close()
        await self._external.close()

    async def check_health(self, server: Server, seconds: float) -> Health:
        """The health of a server; connection errors are reported as DOWN."""
        assert server.health_url is not None
        health, _ = await self._check(server, server.health_url, seconds, LONGEST_ERROR_BYTES)
        return health

    async def check_sleeper(self, server: Server, seconds: float) -> Health:
        """The health of a llama-server that sleeps when it is idle; neither request wakes it.

        While it loads its model again, it answers `/health` only.
        """
        health = await self.check_health(server, seconds)
        if health.state is not State.READY:
            return health
        assert server.props_url is not None
        props, content = await self._check(server, server.props_url, seconds, LONGEST_LIST_BYTES)
        if props.state is State.DOWN:
            return WAKING
        return ASLEEP if is_sleeping(content) else props

    async def capabilities(self, server: Server, model: str, seconds: float) -> Capabilities | None:
        """What a llama-server reports about a model; None without a response.

        The request loads and wakes no model.
        """
        assert server.props_url is not None
        url = server.props_url
        if server.most_loaded is not None:
            url += "?" + urlencode({"model": model, "autoload": "false"})
        health, content = await self._check(server, url, seconds, LONGEST_LIST_BYTES)
        return read_capabilities(content) if content or health.state is State.READY else None

    async def check_router(
        self, server: Server, seconds: float
    ) -> tuple[Health, Mapping[str, Health]]:
        """The health of a llama-server in router mode, and of each of its models."""
        assert server.health_url is not None
        health, content = await self._check(server, server.health_url, seconds, LONGEST_LIST_BYTES)
        if health.state is not State.READY:
            return health, server.model_health
        try:
            return health, read_router_list(content)
        except InvalidList as error:
            return Health(State.DOWN, str(error)), server.model_health

    async def list_models(self, server: Server, seconds: float) -> tuple[Health, ModelList | None]:
        """The health of a server by its list of models, and the list if it is valid."""
        url = f"{server.api_url}/models"
        health, content = await self._check(server, url, seconds, LONGEST_LIST_BYTES + 1)
        if health.state is not State.READY:
            return health, None
        if len(content) > LONGEST_LIST_BYTES:
            return Health(State.DOWN, "its list of models is too large"), None
        try:
            return health, read_model_list(content)
        except InvalidList as error:
            return Health(State.DOWN, str(error)), None

    async def _check(
        self, server: Server, url: str, seconds: float, most_bytes: int
    ) -> tuple[Health, bytes]:
        """Ask a URL; returns the health and at most so many bytes of the content."""
        try:
            async with (
                asyncio.timeout(seconds),
                self._get(server, url, **_CLOSE_CONNECTION) as response,
            ):
                content = bytearray()
                while len(content) < most_bytes and (chunk := await response.content.readany()):
                    content += chunk[: most_bytes - len(content)]
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Health(State.DOWN, reason_of(error)), b""
        return _health_of(server, response.status, content), bytes(content)

    async def is_draining(self, server: Server, seconds: float) -> bool | None:
        """Whether the server reports that it is draining; None without a response."""
        assert server.status_url is not None
        try:
            async with asyncio.timeout(seconds), self._get(server, server.status_url) as response:
                return b"draining" in await response.content.read(LONGEST_ERROR_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    def _get(
        self, server: Server, url: str, **headers: str
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._session(server).get(
            url, headers={**headers, **identity(server)}, allow_redirects=False
        )

    def _session(self, server: Server) -> aiohttp.ClientSession:
        return self._external if server.external else self._internal


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


def _health_of(server: Server, status: int, content: bytes | bytearray) -> Health:
    """The health that the response to a health check shows."""
    if status == 200:
        return Health(State.READY)
    if is_loading(status, content):
        return LOADING
    if status in (401, 403):
        return Health(State.DOWN, f"it {key_problem(server)} (status {status})")
    return Health(State.DOWN, f"its health check returned status {status}")
