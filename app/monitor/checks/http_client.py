"""HTTP client of the monitor: each request has a time limit, and each response a size limit."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import aiohttp
from aiohttp.connector import Connection
from pydantic_core import from_json

RESPONSE_LIMIT = 256 * 1024
"""Bytes read of a response body; the rest is dropped."""

# Long enough for the requests of one check, and shorter than the five seconds after which some
# servers close an idle connection, which could be just when the next request is sent.
KEEP_ALIVE = 2.0


@dataclass(frozen=True)
class HttpResponse:
    """A response. `seconds` is the time from the request to the last byte; `retry_after` the
    seconds in the header Retry-After, and `location` the header Location, if there is one;
    `certificate_ends` the end of the server's certificate in seconds since the epoch, which only
    a client for hosts outside of the stack reads."""

    status: int
    body: bytes
    seconds: float
    retry_after: float | None = None
    location: str = ""
    certificate_ends: float | None = None

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode(errors="replace")

    @cached_property
    def json(self) -> Any:
        """The JSON object or array in the body; None if there is none."""
        try:
            content = from_json(self.body)
        except ValueError:
            return None
        return content if isinstance(content, dict | list) else None

    def member(self, key: str) -> object:
        """A member of the JSON object in the body; None if there is none."""
        return self.json.get(key) if isinstance(self.json, dict) else None


class NoResponse(Exception):
    """There is no usable response. `code` is for the label of a metric, the text for people.

    `unreachable`: the network may be the cause, not the service.
    """

    def __init__(self, code: str, text: str, *, unreachable: bool) -> None:
        super().__init__(text)
        self.code = code
        self.unreachable = unreachable


class _CertifiedResponse(aiohttp.ClientResponse):
    """A response that keeps the end of the certificate of its connection, which is given back to
    the pool with the last byte."""

    certificate_ends: float | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Read the head of the response."""
        transport = connection.transport
        certificate = transport.get_extra_info("peercert") if transport else None
        if certificate:
            self.certificate_ends = ssl.cert_time_to_seconds(certificate["notAfter"])
        return await super().start(connection)


class HttpClient:
    """Sends requests over HTTP. Follows no redirect, keeps no cookie."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    def create(cls, *, external: bool = False) -> HttpClient:
        """A client with its own connections; to be called inside the event loop.

        :param external: whether it sends to hosts outside the stack's network: then it uses the
            proxy that HTTP_PROXY and similar variables name, and also trusts the authorities in
            EXTRA_CA_FILE. Services of the stack are never checked through a proxy.
        """
        connector = aiohttp.TCPConnector(
            # No limit: waiting for a free connection would count as response time of the service.
            limit=0,
            keepalive_timeout=KEEP_ALIVE,
            ttl_dns_cache=2,
            ssl=_external_tls() if external else True,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            # Each request has its own limit, and that of a restart is longer than the default.
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=external,
            response_class=_CertifiedResponse if external else aiohttp.ClientResponse,
            headers={"User-Agent": "llm-stack-monitor"},
        )
        return cls(session)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def get(self, url: str, within: float) -> HttpResponse:
        """GET a URL within so many seconds; raises NoResponse."""
        return await self._send("GET", url, within)

    async def post(
        self,
        url: str,
        within: float,
        *,
        json: object = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """POST JSON or bytes to a URL within so many seconds; raises NoResponse."""
        return await self._send("POST", url, within, json=json, data=data, headers=headers)

    async def connect(self, host: str, port: int, within: float) -> float:
        """Open a TCP connection and close it; returns the seconds it took, or raises NoResponse."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(within):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            text = f"no connection within {within:g} s"
            raise NoResponse("timeout", text, unreachable=True) from None
        except OSError as error:
            raise _not_connected(error) from None
        seconds = time.monotonic() - started
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return seconds

    async def _send(
        self,
        method: str,
        url: str,
        within: float,
        *,
        json: object = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        started = time.monotonic()
        try:
            async with (
                asyncio.timeout(within),
                self._session.request(
                    method, url, json=json, data=data, headers=headers, allow_redirects=False
                ) as response,
            ):
                body = await _read(response.content)
                seconds = time.monotonic() - started
                return HttpResponse(
                    response.status,
                    body,
                    seconds,
                    _retry_after(response),
                    response.headers.get("Location", ""),
                    getattr(response, "certificate_ends", None),
                )
        except TimeoutError:
            text = f"no response within {within:g} s"
            raise NoResponse("timeout", text, unreachable=True) from None
        except aiohttp.ClientConnectorDNSError:
            raise NoResponse("dns", "its name does not resolve", unreachable=True) from None
        except aiohttp.ClientProxyConnectionError:
            raise NoResponse("proxy", "the proxy cannot be reached", unreachable=True) from None
        except aiohttp.ClientHttpProxyError as error:
            text = f"the proxy refuses the connection: HTTP {error.status}"
            raise NoResponse("proxy", text, unreachable=True) from None
        except aiohttp.ClientConnectorCertificateError as error:
            found = getattr(error.certificate_error, "verify_message", "")
            text = "its certificate is not trusted" + (f": {found}" if found else "")
            raise NoResponse("certificate", text, unreachable=False) from None
        except aiohttp.ClientConnectorError as error:
            raise _not_connected(error.os_error) from None
        except (aiohttp.ClientError, OSError) as error:
            text = f"the connection broke: {type(error).__name__}"
            raise NoResponse("broken", text, unreachable=False) from None


def _external_tls() -> ssl.SSLContext | bool:
    """Trusts the authorities in EXTRA_CA_FILE too; True is aiohttp's default."""
    extra = os.environ.get("EXTRA_CA_FILE")
    if not extra:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(extra)
    return context


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None


async def _read(stream: aiohttp.StreamReader) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size < RESPONSE_LIMIT and (part := await stream.read(RESPONSE_LIMIT - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _not_connected(error: OSError) -> NoResponse:
    if error.errno == errno.ECONNREFUSED:
        return NoResponse("refused", "connection refused", unreachable=False)
    if isinstance(error, socket.gaierror):
        return NoResponse("dns", "its name does not resolve", unreachable=True)
    text = f"cannot be reached: {error.strerror or error}"
    return NoResponse("unreachable", text, unreachable=True)
