"""One request carried to a model server and its answer carried back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping

import aiohttp
from starlette.types import Receive, Send

from app.chat.fleet.pool import ModelPool, Ticket
from app.chat.fleet.replica import Replica
from app.chat.middleware.request_record import RequestRecord
from app.chat.openai.errors import ApiError
from app.chat.openai.generation_request import Task
from app.chat.relay import sse
from app.chat.relay.answer import Answer, StreamedAnswer, WholeAnswer
from app.chat.relay.token_count import TokenCount
from app.chat.relay.upstream import (
    Retry,
    Upstream,
    UpstreamFailure,
    broken_off,
    reported_error,
    unreachable,
)
from app.chat.settings import GatewaySettings
from app.shared.json_log import Log

_log = Log(__name__)

_LONGEST_DOCUMENT = 64 * 2**20
# A deadline is moved forward at most this often, not with each of thousands of chunks a second.
_RENEW_SECONDS = 1.0


class Exchange:
    """Waits for a slot, asks a replica, and tries others as long as no token has come.

    As soon as the client is gone, whatever is going on is given up: the place in the line, the slot
    and the connection to the model server, which then stops generating.
    """

    def __init__(
        self,
        task: Task,
        pool: ModelPool,
        upstream: Upstream,
        settings: GatewaySettings,
        record: RequestRecord,
    ) -> None:
        self._task = task
        self._pool = pool
        self._upstream = upstream
        self._limits = settings.limits
        self._keep_alive = settings.keep_alive
        self._record = record
        self._ticket: Ticket | None = None
        self._tokens = TokenCount()

    async def run(self, receive: Receive, send: Send) -> None:
        """Answer the client, or stop as soon as it has gone; the record then tells how it ended."""
        kind = StreamedAnswer if self._task.streams else WholeAnswer
        answer = kind(send, self, self._keep_alive)
        work = asyncio.create_task(self._work(answer))
        gone = asyncio.create_task(_client_gone(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if answer.ended:
                # The server tells the end of a response in the same way as a client that has left.
                await asyncio.wait((work,))
            if not work.done():
                self._record.outcome = "client_gone"
            await _end(work, gone)
        except asyncio.CancelledError:
            # The server's time to drain is over. Nothing is left to be cancelled after this, so the
            # cancellation ends here; passed on, it would be logged as a failure of the application.
            await _end(work, gone)
            await self._stopped(answer)
            return
        finally:
            self._tokens.write_to(self._record)
        if not work.cancelled():
            work.result()

    async def _stopped(self, answer: Answer) -> None:
        """The gateway itself has to end before the answer is complete."""
        if not answer.ended:
            message = "the gateway is being restarted"
            error = ApiError(503, message, code="gateway_stopped", retry_after=5)
            self._record.outcome = error.code
            await answer.fail(error)

    def headers(self) -> Mapping[str, str]:
        headers = {
            "x-routed-model": self._pool.card.id,
            "cache-control": "no-store",
            "x-accel-buffering": "no",
        }
        position = self._ticket.position if self._ticket is not None else 0
        if position:
            headers["x-queue-position"] = str(position)
        return headers

    def place_in_line(self) -> str | None:
        position = self._ticket.position if self._ticket is not None else 0
        if not position:
            return None
        return "queue " + json.dumps({"position": position, "length": len(self._pool.line)})

    async def _work(self, answer: Answer) -> None:
        try:
            async with answer.kept_alive():
                await self._within_time(answer)
            self._record.outcome = "complete"
        except ApiError as error:
            self._record.outcome = error.code
            if not answer.ended:
                await answer.fail(error)

    async def _within_time(self, answer: Answer) -> None:
        seconds = self._limits.request_seconds
        try:
            async with asyncio.timeout(seconds) as deadline:
                await self._try_replicas(answer)
        except TimeoutError:
            if not deadline.expired():
                raise
            message = f"the request took longer than {seconds:g} s"
            raise ApiError(504, message, code="request_timeout") from None

    async def _try_replicas(self, answer: Answer) -> None:
        tried: frozenset[Replica] = frozenset()
        for attempt in range(1, self._limits.attempts + 1):
            self._record.attempts = attempt
            ticket = self._ticket = self._pool.enter(self._task.prompt, tried=tried)
            try:
                replica = await self._turn(ticket)
                await self._ask(replica, answer)
                return
            except UpstreamFailure as failure:
                tried |= {replica}
                self._log_failure(replica, failure)
                if attempt == self._limits.attempts or not self._may_help(failure.retry, tried):
                    raise failure.error from failure
            finally:
                ticket.leave()

    def _log_failure(self, replica: Replica, failure: UpstreamFailure) -> None:
        _log.warning(
            "a replica failed a request",
            request_id=self._record.request_id,
            model=self._pool.card.id,
            replica=replica.name,
            attempt=self._record.attempts,
            reason=failure.error.message,
        )

    def _may_help(self, retry: Retry, tried: frozenset[Replica]) -> bool:
        if retry is Retry.ELSEWHERE:
            return any(replica.answers for replica in self._pool.replicas if replica not in tried)
        return retry is Retry.ANYWHERE

    async def _turn(self, ticket: Ticket) -> Replica:
        """Wait in the line. Raises ApiError when that takes too long or no replica is left."""
        seconds = self._limits.queue_seconds
        try:
            async with asyncio.timeout(seconds) as deadline:
                replica = await ticket.granted
        except TimeoutError:
            if not deadline.expired():
                raise
            message = f"{self._pool.card.id} was busy for {seconds:g} s"
            raise ApiError(429, message, code="queue_timeout", retry_after=10) from None
        self._record.queue_seconds = (self._record.queue_seconds or 0.0) + ticket.waited
        self._record.replica = replica.name
        return replica

    async def _ask(self, replica: Replica, answer: Answer) -> None:
        """Let one replica answer, and let its circuit breaker know how that went."""
        try:
            async with asyncio.timeout(self._limits.first_token_seconds) as patience:
                await self._carry(replica, answer, patience)
        except UpstreamFailure as failure:
            if failure.blame:
                replica.breaker.failed()
            else:
                replica.breaker.abandoned()
            raise
        except ApiError:
            replica.breaker.failed()
            raise
        except TimeoutError:
            if not patience.expired():
                raise
            replica.breaker.failed()
            raise self._stalled() from None
        except BaseException:
            replica.breaker.abandoned()
            raise
        replica.breaker.succeeded()

    async def _carry(self, replica: Replica, answer: Answer, patience: asyncio.Timeout) -> None:
        response = await self._upstream.open(
            replica, self._task.path, self._task.payload, self._record.request_id
        )
        try:
            if self._task.piecewise:
                await self._carry_events(replica, response, answer, patience)
            else:
                assert isinstance(answer, WholeAnswer)
                await answer.document(await _document(response))
        except (aiohttp.ClientError, OSError, sse.EventTooLong) as error:
            if self._begun:
                raise broken_off(
                    "the model server broke off before the end of its answer"
                ) from error
            raise unreachable(replica, error) from error
        finally:
            # Closing what has not been read to its end is what makes llama-server stop.
            response.close()

    async def _carry_events(
        self,
        replica: Replica,
        response: aiohttp.ClientResponse,
        answer: Answer,
        patience: asyncio.Timeout,
    ) -> None:
        """The hot path: a few steps per chunk, none of which decodes it."""
        now = asyncio.get_running_loop().time
        whole = sse.WholeEvents()
        renewal = 0.0
        while chunk := await response.content.readany():
            events = whole.feed(chunk)
            if not events:
                continue
            if (error_at := sse.find_error(events)) >= 0:
                if error_at and self._begun:
                    await answer.pass_on(events[:error_at])
                raise self._failed_inside(events[error_at:])
            if not self._begun:
                if not sse.has_data(events):
                    continue
                self._begin()
            self._tokens.see(events)
            if sse.is_done(events):
                await answer.finish(events)
                # Only the end of the body is left; after it, the connection can be used again.
                with contextlib.suppress(aiohttp.ClientError):
                    await response.content.readany()
                return
            await answer.pass_on(events)
            if now() >= renewal:
                replica.last_heard = now()
                renewal = now() + _RENEW_SECONDS
                patience.reschedule(now() + self._limits.silence_seconds)
        if not (rest := whole.finish()):
            raise aiohttp.ClientPayloadError("the stream ended before its end")
        await answer.finish(rest)

    @property
    def _begun(self) -> bool:
        return self._record.first_token_seconds is not None

    def _begin(self) -> None:
        self._record.first_token_seconds = self._record.age

    def _failed_inside(self, events: bytes) -> ApiError | UpstreamFailure:
        error = reported_error(events)
        if self._begun:
            return error
        own_fault = error.status >= 500
        return UpstreamFailure(error, Retry.ELSEWHERE if own_fault else Retry.NOWHERE, own_fault)

    def _stalled(self) -> ApiError:
        if self._begun:
            message = f"the answer stood still for {self._limits.silence_seconds:g} s"
        else:
            message = f"there was no token within {self._limits.first_token_seconds:g} s"
        return ApiError(504, message, code="upstream_stalled")


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _document(response: aiohttp.ClientResponse) -> bytes:
    document = bytearray()
    while chunk := await response.content.readany():
        document += chunk
        if len(document) > _LONGEST_DOCUMENT:
            raise broken_off("the model server's answer is too large")
    return bytes(document)
