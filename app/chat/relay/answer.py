"""The client's side of a running request: how an answer, or a failure, is written to it.

Both kinds of answer stay alive while nothing happens, because proxies cut connections that are
silent (Cloudflare after 100 s, error 524). What goes on the wire first fixes the status:

- `StreamedAnswer` sends status 200 and a comment after the first second of waiting, then a comment
  at least every `interval`. A failure before that has its own status; after it, it is an event
  `data: {"error": …}`, and `[DONE]` is not sent.
- `WholeAnswer` sends status 200 and a space after `first_space` seconds, then one every `interval`:
  white space may stand before a JSON document. A failure after that is the document, with OpenAI's
  error object, although the status was 200.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from starlette.types import Send

from app.chat.openai.errors import ApiError
from app.chat.relay import sse
from app.chat.relay.answer_assembly import AnswerAssembly
from app.chat.settings import KeepAlive

# How often a waiting client can learn that it moved up in the line.
_LINE_SECONDS = 1.0


class Progress(Protocol):
    """What an answer asks about its request while there is nothing to send."""

    def headers(self) -> Mapping[str, str]:
        """The headers that are true at this moment."""

    def place_in_line(self) -> str | None:
        """Where the request waits, in words; None when it does not wait in a line."""


class Answer(ABC):
    """What both kinds share: the head, which is sent once, and the signs of life."""

    media_type: str

    def __init__(self, send: Send, progress: Progress, first_sign: float, interval: float) -> None:
        self._send = send
        self._progress = progress
        self._first_sign = first_sign
        self._interval = interval
        self._told_place: str | None = None
        # Whether the last byte was given to the server.
        self.ended = False
        self._open = False
        self._opening = asyncio.Lock()
        self._now = asyncio.get_running_loop().time
        self._last_sign = self._now()

    @abstractmethod
    async def pass_on(self, events: bytes) -> None:
        """Take whole events of the model server's answer."""

    @abstractmethod
    async def finish(self, events: bytes) -> None:
        """Take the last events: the model server's answer is complete."""

    async def fail(self, error: ApiError) -> None:
        """Tell the client that there will be no (further) answer."""
        if self._open:
            await self._write(self._late_failure(error), more=False)
        else:
            await self._write_document(error.body(), error.status, error.headers)

    @abstractmethod
    def _late_failure(self, error: ApiError) -> bytes: ...

    @abstractmethod
    def _sign_of_life(self, place: str | None) -> bytes: ...

    @contextlib.asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Sends signs of life to a client that would otherwise hear nothing."""
        signs = asyncio.create_task(self._give_signs())
        try:
            yield
        finally:
            signs.cancel()
            await asyncio.wait((signs,))

    async def _give_signs(self) -> None:
        await asyncio.sleep(self._first_sign)
        if not self._open:
            await self._give_sign()
        while not self.ended:
            place = self._progress.place_in_line()
            due = self._last_sign + self._interval - self._now()
            if due <= 0 or place not in (None, self._told_place):
                await self._give_sign()
            else:
                await asyncio.sleep(due if place is None else min(due, _LINE_SECONDS))

    async def _give_sign(self) -> None:
        self._told_place = self._progress.place_in_line()
        await self._ensure_started()
        if not self.ended:
            await self._write(self._sign_of_life(self._told_place))

    async def _ensure_started(self) -> None:
        if not self._open:
            await self._start(200, {"content-type": self.media_type})

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        # Two tasks may be the first to write: the one with the answer, and the signs of life.
        async with self._opening:
            if self._open:
                return
            fields = {**self._progress.headers(), **headers}
            raw = [(name.encode(), value.encode()) for name, value in fields.items()]
            await self._send({"type": "http.response.start", "status": status, "headers": raw})
            self._open = True

    async def _write(self, data: bytes, *, more: bool = True) -> None:
        self._last_sign = self._now()
        self.ended = not more
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def _write_document(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        await self._start(
            status,
            {**headers, "content-type": "application/json", "content-length": str(len(body))},
        )
        await self._write(body, more=False)


class StreamedAnswer(Answer):
    """Events go to the client as they come, byte for byte."""

    media_type = "text/event-stream; charset=utf-8"

    def __init__(self, send: Send, progress: Progress, keep_alive: KeepAlive) -> None:
        super().__init__(send, progress, keep_alive.first_comment, keep_alive.interval)

    async def pass_on(self, events: bytes) -> None:
        await self._ensure_started()
        await self._write(events)

    async def finish(self, events: bytes) -> None:
        await self._ensure_started()
        await self._write(events, more=False)

    def _late_failure(self, error: ApiError) -> bytes:
        return sse.event(error.body())

    def _sign_of_life(self, place: str | None) -> bytes:
        return sse.comment(place or "keep-alive")


class WholeAnswer(Answer):
    """The client gets one JSON document, put together from events or as it was sent."""

    media_type = "application/json"

    def __init__(self, send: Send, progress: Progress, keep_alive: KeepAlive) -> None:
        super().__init__(send, progress, keep_alive.first_space, keep_alive.interval)
        self._assembly = AnswerAssembly()

    async def pass_on(self, events: bytes) -> None:
        self._assembly.feed(events)

    async def finish(self, events: bytes) -> None:
        self._assembly.feed(events)
        await self.document(json.dumps(self._assembly.whole()).encode())

    async def document(self, body: bytes) -> None:
        """Send a document that the model server did not send in pieces."""
        if self._open:
            await self._write(body, more=False)
        else:
            await self._write_document(body, 200, {})

    def _late_failure(self, error: ApiError) -> bytes:
        return error.body()

    def _sign_of_life(self, place: str | None) -> bytes:
        return b" "
