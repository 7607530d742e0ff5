"""Writes the response of one request to the client, or its error.

Both kinds of response send keep-alive bytes while nothing happens, because proxies close
connections without data (Cloudflare after 100 s, error 524). The first bytes determine the status:

- `EventStreamWriter` sends status 200 and a comment after the first second of waiting, then a
  comment or an event that clients ignore at least every `interval`. An error before that has its
  own status; later it is an event in the form of the API, without the closing event.
- `DocumentWriter` sends status 200 and a space after `first_space` seconds, then one every
  `interval`: JSON allows white space before a document. A later error is a document in the API's
  form, although the status was 200.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.types import Message, Send

from app.chat.apis.api import Api
from app.chat.openai import sse
from app.chat.openai.errors import ApiError
from app.chat.relay.answer_memory import AnswerAccount
from app.chat.server.direct_body import DirectBody
from app.chat.settings import KeepAlive

# How often a waiting client gets its position in the queue, at most.
_POSITION_SECONDS = 1.0


class RequestState(Protocol):
    """State of the request that the writer needs while it waits."""

    @property
    def request_id(self) -> str: ...

    @property
    def answer(self) -> AnswerAccount:
        """Counts the memory of an answer that is collected."""

    def headers(self) -> Mapping[str, str]:
        """The response headers as of now."""

    def queue_comment(self) -> str | None:
        """The position in the queue, or that the model is loading, as text; else None."""


class ClientStalled(Exception):
    """The client did not read for too long, and its connection was closed."""


@dataclass(frozen=True)
class ClientConnection:
    """Where a response is written to: ASGI for its start and its end, `body` between them.

    :param seconds: for the client to read what was written before.
    """

    asgi_send: Send
    body: DirectBody
    seconds: float

    async def send(self, message: Message) -> None:
        """Send a message of ASGI; raises ClientStalled."""
        if not self.body.paused:
            # The server writes at once, so a timeout would only cost time.
            await self.asgi_send(message)
            return
        try:
            async with asyncio.timeout(self.seconds):
                await self.asgi_send(message)
        except TimeoutError:
            self.body.abort()
            raise ClientStalled from None


class ResponseWriter(ABC):
    """Base of both kinds: sends the headers once, and keep-alive bytes."""

    media_type: str

    def __init__(
        self,
        client: ClientConnection,
        state: RequestState,
        api: Api,
        first_keep_alive: float,
        interval: float,
    ) -> None:
        self._client = client
        self._state = state
        self._api = api
        self._first_keep_alive = first_keep_alive
        self._interval = interval
        self._sent_comment: str | None = None
        # Whether the last byte was passed to the server.
        self.ended = False
        # Whether the closing event was or is about to be passed on.
        self._closing = False
        self._started = False
        self._starting = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._last_write = self._now()
        self._timer: asyncio.Handle | None = None
        self._keep_alive: asyncio.Task[None] | None = None

    @abstractmethod
    def event_sink(self) -> Callable[[bytes], None]:
        """Takes complete events."""

    def chunk_sink(self) -> Callable[[bytes], None] | None:
        """Takes chunks of HTTP with complete events; None if they are not sent as they are."""
        return None

    def on_pause(self, pause: Callable[[], None] | None) -> None:
        """Call `pause` whenever the client has too much to read; None ends that."""
        self._client.body.on_pause(pause)

    def events_written(self, now: float) -> None:
        """Note that events were written a moment ago."""
        self._last_write = now

    def no_more_events(self) -> None:
        """Send no keep-alive bytes from now on: the closing event comes next."""
        self._closing = True

    @abstractmethod
    async def finish(self) -> None:
        """End the response after the last events."""

    @property
    def paused(self) -> bool:
        """Whether the client has too much to read."""
        return self._client.body.paused

    async def drained(self) -> None:
        """Wait until it has read most of it."""
        await self._client.body.drained()

    def abort(self) -> None:
        """Close the connection to the client."""
        self._client.body.abort()

    async def fail(self, error: ApiError) -> None:
        """End the response with an error."""
        if self._started:
            await self._write(self._late_error(error), more=False)
        else:
            body = self._api.errors.document(error, self._state.request_id)
            await self._write_document(body, error.status, error.headers)

    @abstractmethod
    def _late_error(self, error: ApiError) -> bytes: ...

    @abstractmethod
    def _keep_alive_bytes(self, comment: str | None) -> bytes: ...

    def begin_keep_alive(self) -> None:
        """Send keep-alive bytes whenever nothing else is sent, until `end_keep_alive`."""
        self._timer = self._loop.call_later(self._first_keep_alive, self._check_keep_alive)

    async def end_keep_alive(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._keep_alive is not None:
            self._keep_alive.cancel()
            await asyncio.wait((self._keep_alive,))

    def _check_keep_alive(self) -> None:
        """Send keep-alive bytes if they are due, or wait until they are."""
        if self.ended or self._closing:
            return
        comment = self._state.queue_comment()
        due = self._last_write + self._interval - self._now()
        if not self._started or due <= 0 or comment != self._sent_comment:
            self._keep_alive = self._loop.create_task(self._write_keep_alive())
        else:
            wait = due if comment is None else min(due, _POSITION_SECONDS)
            self._timer = self._loop.call_later(wait, self._check_keep_alive)

    async def _write_keep_alive(self) -> None:
        self._sent_comment = self._state.queue_comment()
        with contextlib.suppress(ClientStalled):
            await self.start()
            if not self.ended and not self._closing:
                await self._write(self._keep_alive_bytes(self._sent_comment))
            self._timer = self._loop.call_soon(self._check_keep_alive)

    async def start(self) -> None:
        """Send the headers, unless they were sent."""
        if not self._started:
            await self._start(200, {"content-type": self.media_type})

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        # The task that relays the response and the keep-alive task may both start it.
        async with self._starting:
            if self._started:
                return
            fields = {**self._state.headers(), **headers}
            raw = [(name.encode(), value.encode()) for name, value in fields.items()]
            await self._client.send(
                {"type": "http.response.start", "status": status, "headers": raw}
            )
            self._started = True

    async def _write(self, data: bytes, *, more: bool = True) -> None:
        self._last_write = self._now()
        self.ended = not more
        await self._client.send({"type": "http.response.body", "body": data, "more_body": more})

    async def _write_document(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        await self._start(
            status,
            {**headers, "content-type": "application/json", "content-length": str(len(body))},
        )
        await self._write(body, more=False)


class EventStreamWriter(ResponseWriter):
    """Passes events to the client as they arrive, byte for byte."""

    media_type = "text/event-stream; charset=utf-8"

    def __init__(
        self, client: ClientConnection, state: RequestState, keep_alive: KeepAlive, api: Api
    ) -> None:
        super().__init__(client, state, api, keep_alive.first_comment, keep_alive.interval)
        assert api.stream is not None
        self._form = api.stream

    def event_sink(self) -> Callable[[bytes], None]:
        return self._client.body.write

    def chunk_sink(self) -> Callable[[bytes], None]:
        return self._client.body.write_chunk

    async def finish(self) -> None:
        await self._write(b"", more=False)

    def _late_error(self, error: ApiError) -> bytes:
        return self._api.errors.event(error, self._state.request_id)

    def _keep_alive_bytes(self, comment: str | None) -> bytes:
        return sse.comment(comment) if comment else self._form.keep_alive


class DocumentWriter(ResponseWriter):
    """Sends one JSON document: assembled from events, or as the model server sent it."""

    media_type = "application/json"

    def __init__(
        self, client: ClientConnection, state: RequestState, keep_alive: KeepAlive, api: Api
    ) -> None:
        super().__init__(client, state, api, keep_alive.first_space, keep_alive.interval)
        self._assembly = api.assembly()

    def event_sink(self) -> Callable[[bytes], None]:
        return self._assemble

    def events_written(self, now: float) -> None:
        """Nothing was sent: keep-alive bytes are due."""

    def _assemble(self, events: bytes) -> None:
        self._state.answer.add_events(events)
        self._assembly.feed(events)

    async def finish(self) -> None:
        await self.document(json.dumps(self._assembly.document()).encode())

    async def document(self, body: bytes) -> None:
        """Send a complete document."""
        if self._started:
            await self._write(body, more=False)
        else:
            await self._write_document(body, 200, {})

    def _late_error(self, error: ApiError) -> bytes:
        return self._api.errors.document(error, self._state.request_id)

    def _keep_alive_bytes(self, comment: str | None) -> bytes:
        return b" "
