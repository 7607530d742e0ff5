"""Takes a streamed response as it arrives, and passes complete events on: the hot path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.chat.apis.stream_form import StreamForm
from app.chat.fleet.connection import ConnectionBroken
from app.chat.fleet.model_response import ModelResponse
from app.chat.openai import sse
from app.chat.relay.token_count import TokenCount

# After its closing event, a server may take this long to end the response.
_END_SECONDS = 1.0


class StreamError(Exception):
    """The model server reported an error in its stream.

    :param events: begin with the event of the error.
    """

    def __init__(self, events: bytes) -> None:
        super().__init__()
        self.events = events


class EventRelay:
    """A few steps for each piece, without decoding it, and without a coroutine.

    :param first: called at the first event with data.
    :param write: takes complete events, and whether the closing one is the last of them.
    """

    def __init__(
        self,
        form: StreamForm,
        tokens: TokenCount,
        first: Callable[[], None],
        write: Callable[[bytes, bool], None],
    ) -> None:
        self._form = form
        self._tokens = tokens
        self._first = first
        self._write = write
        self._buffer = sse.EventBuffer()
        self._has_data = False
        self._done = False
        self._end = asyncio.timeout(None)

    async def run(self, response: ModelResponse) -> None:
        """Relay the response; raises StreamError, sse.EventTooLong and ConnectionBroken."""
        try:
            async with self._end:
                await response.receive(self._feed)
                self._finish()
        except (ConnectionBroken, TimeoutError):
            if not self._done:
                raise
        if not self._done:
            raise ConnectionBroken("the stream ended without its closing event", responded=True)

    def _feed(self, piece: bytes) -> None:
        events = self._buffer.feed(piece)
        if not events or self._done:
            return
        if (error_at := self._form.find_error(events)) >= 0:
            if error_at and self._has_data:
                self._write(events[:error_at], False)
            raise StreamError(events[error_at:])
        if not self._has_data:
            if not sse.has_data(events):
                return
            self._has_data = True
            self._first()
        self._tokens.add(events)
        self._done = self._form.is_done(events)
        self._write(events, self._done)
        if self._done:
            self._end.reschedule(asyncio.get_running_loop().time() + _END_SECONDS)

    def _finish(self) -> None:
        """Take the end of the response: the blank line after the closing event may be missing."""
        rest = self._buffer.finish()
        if rest and self._form.is_done(rest):
            self._feed(rest)
