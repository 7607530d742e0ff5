"""One HTTP question with a deadline and a bounded answer, and failures told apart."""

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
from pydantic_core import from_json

ANSWER_LIMIT = 256 * 1024
"""Bytes read of an answer; the rest is dropped."""

# Long enough to carry the questions of one check, short enough that servers which close idle
# connections after five seconds do not do so while a question is under way.
KEEP_ALIVE = 2.0


@dataclass(frozen=True)
class Answer:
    """What came back. `seconds` is the time from asking to the last byte; `retry_after` the
    number of seconds after which the server wants to be asked again, where it says one."""

    status: int
    body: bytes
    seconds: float
    retry_after: float | None = None

    @property
    def text(self) -> str:
        """The body as text, with what is no UTF-8 replaced."""
        return self.body.decode(errors="replace")

    @cached_property
    def content(self) -> Any:
        """The object or array that the body is in JSON; None where it is neither."""
        try:
            content = from_json(self.body)
        except ValueError:
            return None
        return content if isinstance(content, dict | list) else None


class NoAnswer(Exception):
    """Nothing usable came back. `code` is for a label, the text for people.

    `unreachable`: the fault may lie in the network, not in the service.
    """

    def __init__(self, code: str, text: str, *, unreachable: bool) -> None:
        super().__init__(text)
        self.code = code
        self.unreachable = unreachable


class Fetcher:
    """Asks over HTTP. Follows no redirect, keeps no cookie."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    def create(cls, *, outside: bool = False) -> Fetcher:
        """A fetcher with its own connections; to be called inside the event loop.

        :param outside: whether it asks hosts outside of the stack's network: then it uses the proxy
            that HTTP_PROXY and its like name, and trusts the authorities in EXTRA_CA_FILE too.
            Services of the stack are never asked by way of a proxy.
        """
        # Unlimited: to wait for a free connection would count as the time of the one that is asked.
        connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=KEEP_ALIVE,
            ttl_dns_cache=2,
            ssl=_outside_tls() if outside else True,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            # Each question has its own limit, and that of a restart is longer than the default.
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=outside,
            headers={"User-Agent": "llm-stack-monitor"},
        )
        return cls(session)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def get(self, url: str, within: float) -> Answer:
        """GET an address within so many seconds; raises NoAnswer."""
        return await self._ask("GET", url, within)

    async def post(
        self,
        url: str,
        within: float,
        *,
        json: object = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """POST JSON or bytes to an address within so many seconds; raises NoAnswer."""
        return await self._ask("POST", url, within, json=json, data=data, headers=headers)

    async def connect(self, host: str, port: int, within: float) -> float:
        """Connect, and close at once; gives the seconds it took, or raises NoAnswer."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(within):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            text = f"no connection within {within:g} s"
            raise NoAnswer("timeout", text, unreachable=True) from None
        except OSError as error:
            raise _not_connected(error) from None
        seconds = time.monotonic() - started
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return seconds

    async def _ask(
        self,
        method: str,
        url: str,
        within: float,
        *,
        json: object = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        started = time.monotonic()
        try:
            async with (
                asyncio.timeout(within),
                self._session.request(
                    method, url, json=json, data=data, headers=headers, allow_redirects=False
                ) as response,
            ):
                body = await _bounded(response.content)
                seconds = time.monotonic() - started
                return Answer(response.status, body, seconds, _retry_after(response))
        except TimeoutError:
            text = f"no answer within {within:g} s"
            raise NoAnswer("timeout", text, unreachable=True) from None
        except aiohttp.ClientConnectorDNSError:
            raise NoAnswer("dns", "its name does not resolve", unreachable=True) from None
        except aiohttp.ClientProxyConnectionError:
            raise NoAnswer("proxy", "the proxy cannot be reached", unreachable=True) from None
        except aiohttp.ClientHttpProxyError as error:
            text = f"the proxy refuses the connection: HTTP {error.status}"
            raise NoAnswer("proxy", text, unreachable=True) from None
        except aiohttp.ClientConnectorCertificateError:
            text = "its certificate is not trusted"
            raise NoAnswer("certificate", text, unreachable=False) from None
        except aiohttp.ClientConnectorError as error:
            raise _not_connected(error.os_error) from None
        except (aiohttp.ClientError, OSError) as error:
            text = f"the connection broke: {type(error).__name__}"
            raise NoAnswer("broken", text, unreachable=False) from None


def _outside_tls() -> ssl.SSLContext | bool:
    """The authorities in a further file are trusted too; True is aiohttp's own default."""
    extra = os.environ.get("EXTRA_CA_FILE")
    if not extra:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(extra)
    return context


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None


async def _bounded(stream: aiohttp.StreamReader) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size < ANSWER_LIMIT and (part := await stream.read(ANSWER_LIMIT - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _not_connected(error: OSError) -> NoAnswer:
    if error.errno == errno.ECONNREFUSED:
        return NoAnswer("refused", "connection refused", unreachable=False)
    if isinstance(error, socket.gaierror):
        return NoAnswer("dns", "its name does not resolve", unreachable=True)
    text = f"cannot be reached: {error.strerror or error}"
    return NoAnswer("unreachable", text, unreachable=True)
