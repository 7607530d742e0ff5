"""Takes a streamed response as it arrives, and passes complete events on: the hot path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.chat.apis.stream_form import StreamForm
from app.chat.fleet.connection import ConnectionBroken
from app.chat.fleet.model_response import ModelResponse
from app.chat.openai import sse
from app.chat.relay.response_writer import ResponseWriter
from app.chat.relay.token_count import TokenCount

# After its closing event, a server may take this long to end the response.
_END_SECONDS = 1.0
# Move deadlines at most this often, not for each of thousands of chunks per second.
_RENEW_SECONDS = 1.0


class StreamError(Exception):
    """The model server reported an error in its stream.

    :param events: begin with the event of the error.
    """

    def __init__(self, events: bytes) -> None:
        super().__init__()
        self.events = events


class EventRelay:
    """A few steps for each piece after the first one, without decoding it, and without a coroutine.

    :param renew: called with the time about once in a second, while events arrive.
    """

    def __init__(
        self,
        form: StreamForm,
        tokens: TokenCount,
        writer: ResponseWriter,
        renew: Callable[[float], None],
    ) -> None:
        self._form = form
        self._tokens = tokens
        self._writer = writer
        self._write_events = writer.event_sink()
        self._write_chunk = writer.chunk_sink()
        self._renew = renew
        self._buffer = sse.EventBuffer()
        # Whether the next chunk begins an event.
        self._between = False
        self._done = False
        self._end = asyncio.timeout(None)
        self._now = asyncio.get_running_loop().time
        self._renewal = 0.0

    async def first_events(self, response: ModelResponse) -> bytes:
        """The first events with data; raises StreamError, sse.EventTooLong, ConnectionBroken."""
        while piece := await response.piece():
            events = self._buffer.feed(piece)
            if (error_at := self._form.find_error(events)) >= 0:
                raise StreamError(events[error_at:])
            if sse.has_data(events):
                return events
        return self._last_event()

    async def run(self, first: bytes, response: ModelResponse) -> None:
        """Relay the first events and all others; raises what `first_events` raises."""
        self._tokens.begin(first)
        try:
            async with self._end:
                self._pass_on(first)
                chunk_sink = self._pass_chunk if self._write_chunk is not None else None
                await response.receive(self._feed, chunk_sink)
                if not self._done:
                    self._pass_on(self._last_event())
        except (ConnectionBroken, TimeoutError):
            if not self._done:
                raise

    def _pass_chunk(self, chunk: bytes) -> bool:
        # Python calls a local variable faster than an attribute.
        now, write = self._now, self._write_chunk
        if not self._between or write is None or not self._form.is_one_event(chunk):
            return False
        self._tokens.add_one(chunk)
        if now() >= self._renewal:
            self._renew_deadlines()
        write(chunk)
        return True

    def _feed(self, piece: bytes) -> None:
        if self._done:
            return
        events = self._buffer.feed(piece)
        if (error_at := self._form.find_error(events)) >= 0:
            if error_at:
                self._write(events[:error_at])
            raise StreamError(events[error_at:])
        if events:
            self._tokens.add(events)
            self._pass_on(events)
        else:
            self._between = False

    def _pass_on(self, events: bytes) -> None:
        self._done = self._form.is_done(events)
        self._between = self._buffer.empty and not self._done
        if self._done:
            self._writer.no_more_events()
            self._end.reschedule(self._now() + _END_SECONDS)
        self._write(events)

    def _write(self, events: bytes) -> None:
        # Not after the write: a deadline does not run while the client has too much to read.
        if self._now() >= self._renewal:
            self._renew_deadlines()
        self._write_events(events)

    def _renew_deadlines(self) -> None:
        now = self._now()
        self._renewal = now + _RENEW_SECONDS
        self._writer.events_written(now)
        self._renew(now)

    def _last_event(self) -> bytes:
        """The closing event, if only the blank line after it is missing."""
        event = self._buffer.finish()
        if not self._form.is_done(event):
            message = "the stream ended without its closing event"
            raise ConnectionBroken(message, responded=True)
        return event
