"""Keeps a client that reads slowly from filling the memory, and drops one that stops reading.

Its slowness must not count as the silence of the model server.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from app.chat.fleet.model_response import ModelResponse
from app.chat.relay.response_writer import ResponseWriter
from app.chat.request_record import RequestRecord
from app.chat.settings import Limits

CLIENT_STALLED = "client_stalled"


class ClientPace:
    """Pauses the response of the model server while the client has too much to read.

    :param deadline: for the next token; it does not run during a pause.
    """

    def __init__(
        self,
        writer: ResponseWriter,
        response: ModelResponse,
        deadline: asyncio.Timeout,
        limits: Limits,
        record: RequestRecord,
    ) -> None:
        self._writer = writer
        self._response = response
        self._deadline = deadline
        self._limits = limits
        self._record = record
        self._pause: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._writer.on_pause(self._wait)
        if self._writer.paused:
            self._wait()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.on_pause(None)
        if self._pause is not None:
            self._pause.cancel()
            await asyncio.wait((self._pause,))

    def _wait(self) -> None:
        """Pause until the client has read what was written."""
        if self._pause is None:
            self._response.pause()
            self._deadline.reschedule(None)
            self._pause = asyncio.create_task(self._until_read())

    async def _until_read(self) -> None:
        try:
            async with asyncio.timeout(self._limits.client_seconds):
                await self._writer.drained()
        except TimeoutError:
            self._record.outcome = CLIENT_STALLED
            self._writer.abort()
            return
        now = asyncio.get_running_loop().time()
        self._deadline.reschedule(now + self._limits.silence_seconds)
        self._response.resume()
        self._pause = None
