"""Relays one request to a model server, and its response to the client."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping

from starlette.types import Send

from app.chat.fleet.model_response import ModelResponse
from app.chat.fleet.pool import ModelPool, Ticket
from app.chat.fleet.replica import Replica
from app.chat.fleet.upstream import UpstreamClient
from app.chat.fleet.upstream_errors import (
    Retry,
    UpstreamFailure,
    lost_upstream,
    reported_error,
    unreachable,
)
from app.chat.openai import sse
from app.chat.openai.errors import ApiError, internal_error
from app.chat.relay.answer_memory import AnswerMemory
from app.chat.relay.client_pace import CLIENT_STALLED, ClientPace
from app.chat.relay.event_relay import EventRelay, StreamError
from app.chat.relay.generation_request import Task
from app.chat.relay.response_writer import (
    ClientConnection,
    ClientStalled,
    DocumentWriter,
    EventStreamWriter,
    ResponseWriter,
)
from app.chat.relay.token_count import TokenCount
from app.chat.request_record import RequestRecord
from app.chat.server.direct_body import DirectBody
from app.chat.settings import GatewaySettings
from app.shared.json_log import Log

_log = Log(__name__)

# A request may crash a model server: it is sent whole at most twice.
_MOST_BREAKS = 2


class Exchange:
    """Waits for a slot, sends the request to a replica, and retries others before the first token.

    When the client disconnects, it leaves the queue, frees the slot and closes the connection to
    the model server, which then stops generating.
    """

    def __init__(
        self,
        task: Task,
        pool: ModelPool,
        upstream: UpstreamClient,
        settings: GatewaySettings,
        record: RequestRecord,
        answers: AnswerMemory,
    ) -> None:
        self._task = task
        self._pool = pool
        self._upstream = upstream
        self._limits = settings.limits
        self._keep_alive = settings.keep_alive
        self._record = record
        self.answer = answers.open()
        self._ticket: Ticket | None = None
        self._tokens = TokenCount(task.api)
        self._first_token_limit = settings.limits.first_token_seconds
        # Connections that broke after the whole request was sent.
        self._breaks = 0

    async def run(self, send: Send, body: DirectBody) -> None:
        """Write the response, or stop when the client disconnects; sets the record's outcome."""
        writer_type = EventStreamWriter if self._task.streams else DocumentWriter
        client = ClientConnection(send, body, self._limits.client_seconds)
        writer = writer_type(client, self, self._keep_alive, self._task.api)
        task = asyncio.current_task()
        assert task is not None
        gone = False

        def lost() -> None:
            nonlocal gone
            if not writer.ended and not gone:
                gone = True
                task.cancel()

        try:
            with body.reporting_disconnect(lost):
                await self._respond(writer)
        except asyncio.CancelledError:
            # Do not raise it again: there is nothing else to cancel, and Uvicorn would log it as an
            # error of the application.
            if gone:
                task.uncancel()
                self._record.outcome = self._record.outcome or "client_gone"
            else:
                # The time for the drain is over.
                await self._gateway_stops(writer)
        finally:
            self.answer.close()
            self._tokens.write_to(self._record)

    async def _gateway_stops(self, writer: ResponseWriter) -> None:
        """End an incomplete response, because the gateway stops."""
        if not writer.ended:
            message = "the gateway is restarting"
            error = ApiError(503, message, code="gateway_stopped", retry_after=5)
            self._record.outcome = error.code
            with contextlib.suppress(ClientStalled):
                await writer.fail(error)

    @property
    def request_id(self) -> str:
        return self._record.request_id

    def headers(self) -> Mapping[str, str]:
        headers = {
            "x-routed-model": self._pool.card.id,
            "cache-control": "no-store",
            "x-accel-buffering": "no",
            **self._task.api.errors.headers(self.request_id),
        }
        position = self._ticket.position if self._ticket is not None else 0
        if position:
            headers["x-queue-position"] = str(position)
        return headers

    def queue_comment(self) -> str | None:
        position = self._ticket.position if self._ticket is not None else 0
        if not position:
            return self._loading_comment()
        return "queue " + json.dumps({"position": position, "length": len(self._pool.queue)})

    def _loading_comment(self) -> str | None:
        """What the client waits for while its model is loaded."""
        replica = self._ticket.replica if self._ticket is not None else None
        if replica is None or self._has_token or not replica.health.needs_load:
            return None
        return "loading " + json.dumps({"model": self._pool.card.id})

    async def _respond(self, writer: ResponseWriter) -> None:
        try:
            writer.begin_keep_alive()
            try:
                await self._with_time_limit(writer)
            finally:
                await writer.end_keep_alive()
            self._record.outcome = "complete"
        except ApiError as error:
            self._record.outcome = error.code
            if not writer.ended:
                with contextlib.suppress(ClientStalled):
                    await writer.fail(error)
        except ClientStalled:
            self._record.outcome = CLIENT_STALLED
        except Exception:
            await self._report_defect(writer)

    async def _report_defect(self, writer: ResponseWriter) -> None:
        """Log an exception that nothing expects, and end the response with an error."""
        _log.exception(
            "a request failed because of an error in the gateway", request_id=self.request_id
        )
        error = internal_error()
        self._record.outcome = error.code
        if not writer.ended:
            with contextlib.suppress(ClientStalled):
                await writer.fail(error)

    async def _with_time_limit(self, writer: ResponseWriter) -> None:
        seconds = self._limits.request_seconds
        try:
            async with asyncio.timeout(seconds) as deadline:
                await self._try_replicas(writer)
        except TimeoutError:
            if not deadline.expired():
                raise
            message = f"the request took longer than {seconds:g} s"
            raise ApiError(504, message, code="request_timeout") from None

    async def _try_replicas(self, writer: ResponseWriter) -> None:
        tried: frozenset[Replica] = frozenset()
        for attempt in range(1, self._limits.attempts + 1):
            self._record.attempts = attempt
            ticket = self._ticket = self._enter(tried)
            try:
                replica = await self._wait_for_slot(ticket)
                await self._relay_from(replica, writer)
                return
            except UpstreamFailure as failure:
                tried |= {replica}
                self._breaks += failure.breaks
                self._log_failure(replica, failure)
                if attempt == self._limits.attempts or not self._should_retry(failure.retry, tried):
                    raise failure.error from failure
            finally:
                ticket.leave()

    def _enter(self, tried: frozenset[Replica]) -> Ticket:
        """Enter the queue, or pass it with a request that needs no slot."""
        beside = None if self._task.api.needs_slot else self._pool.enter_beside(tried)
        return beside or self._pool.enter(
            self._task.prompt,
            tried=tried,
            share=self._record.share,
            cost=self._record.cost,
        )

    def _log_failure(self, replica: Replica, failure: UpstreamFailure) -> None:
        refused = failure.error.status < 500 and failure.retry is Retry.NOWHERE
        log = _log.info if refused else _log.warning
        log(
            "a replica refused a request" if refused else "a replica failed a request",
            request_id=self._record.request_id,
            model=self._pool.card.id,
            replica=replica.name,
            attempt=self._record.attempts,
            reason=failure.error.message,
        )

    def _should_retry(self, retry: Retry, tried: frozenset[Replica]) -> bool:
        if self._breaks >= _MOST_BREAKS:
            return False
        if retry is Retry.ELSEWHERE:
            return any(replica.available for replica in self._pool.replicas if replica not in tried)
        return retry is Retry.ANYWHERE

    async def _wait_for_slot(self, ticket: Ticket) -> Replica:
        """Wait in the queue; raises ApiError after too long, or when no replica is available."""
        replica = ticket.replica or await self._granted(ticket)
        self._record.queue_seconds = (self._record.queue_seconds or 0.0) + ticket.waited
        self._record.replica = replica.name
        return replica

    async def _granted(self, ticket: Ticket) -> Replica:
        seconds = self._limits.queue_seconds
        try:
            async with asyncio.timeout(seconds) as deadline:
                return await ticket.granted
        except TimeoutError:
            if not deadline.expired():
                raise
            message = f"{self._pool.card.id} had no free slot for {seconds:g} s"
            raise ApiError(429, message, code="queue_timeout", retry_after=10) from None

    async def _relay_from(self, replica: Replica, writer: ResponseWriter) -> None:
        """Relay the response of one replica, and report the result to its circuit breaker."""
        self._first_token_limit = self._longest_wait()
        if replica.health.needs_load:
            self._first_token_limit += self._limits.load_seconds
        try:
            async with asyncio.timeout(self._first_token_limit) as deadline:
                await self._send_and_relay(replica, writer, deadline)
        except UpstreamFailure as failure:
            if failure.blame:
                replica.breaker.failed()
            else:
                replica.breaker.no_result()
            raise
        except ApiError:
            replica.breaker.failed()
            raise
        except TimeoutError:
            if not deadline.expired():
                raise
            replica.breaker.failed()
            raise self._stalled() from None
        except BaseException:
            replica.breaker.no_result()
            raise
        replica.breaker.succeeded()

    def _longest_wait(self) -> float:
        """Seconds until the first token; until the whole response if it does not stream."""
        whole_text = self._task.api.generates and not self._task.piecewise
        return self._limits.request_seconds if whole_text else self._limits.first_token_seconds

    async def _send_and_relay(
        self, replica: Replica, writer: ResponseWriter, deadline: asyncio.Timeout
    ) -> None:
        response = await self._upstream.requests.open(
            replica.server,
            self._task.api,
            self._task.payload,
            self._record.request_id,
            resend=not self._breaks,
            content_type=self._task.content_type,
        )
        self._breaks += response.breaks
        try:
            if self._task.piecewise:
                await self._relay_events(replica, response, writer, deadline)
            else:
                assert isinstance(writer, DocumentWriter)
                document = await self._document(response)
                replica.server.mark_awake(replica.model)
                self._tokens.read_document(document)
                await writer.document(document)
        except OSError as error:
            if self._has_token:
                raise lost_upstream(
                    "the model server closed the connection before the end of its response"
                ) from error
            raise unreachable(replica.server, error) from error
        finally:
            # Closing an incomplete response makes llama-server stop generating.
            response.close()

    async def _document(self, response: ModelResponse) -> bytes:
        pieces: list[bytes] = []
        while piece := await response.piece():
            self.answer.add(len(piece))
            pieces.append(piece)
        return b"".join(pieces)

    async def _relay_events(
        self,
        replica: Replica,
        response: ModelResponse,
        writer: ResponseWriter,
        deadline: asyncio.Timeout,
    ) -> None:
        """Write the events of a response as they arrive."""

        def renew(now: float) -> None:
            replica.server.last_activity = now
            deadline.reschedule(now + self._limits.silence_seconds)

        form = self._task.api.stream
        assert form is not None
        relay = EventRelay(form, self._tokens, writer, renew)
        async with ClientPace(writer, response, deadline, self._limits, self._record):
            try:
                first = await relay.first_events(response)
                self._record_first_token()
                replica.server.mark_awake(replica.model)
                if self._task.streams:
                    await writer.start()
                await relay.run(first, response)
            except StreamError as error:
                raise self._stream_error(error.events) from None
            except sse.EventTooLong:
                raise _event_too_long() from None
        # Only the client has something to do now.
        deadline.reschedule(None)
        response.close()
        if self._ticket is not None:
            self._ticket.leave()
        await writer.finish()

    @property
    def _has_token(self) -> bool:
        return self._record.first_token_seconds is not None

    def _record_first_token(self) -> None:
        self._record.first_token_seconds = self._record.age

    def _stream_error(self, events: bytes) -> ApiError | UpstreamFailure:
        error = reported_error(events)
        if self._has_token:
            return error
        server_fault = error.status >= 500
        return UpstreamFailure(
            error, Retry.ELSEWHERE if server_fault else Retry.NOWHERE, server_fault
        )

    def _stalled(self) -> ApiError:
        if self._has_token:
            message = f"no new token for {self._limits.silence_seconds:g} s"
        else:
            message = f"no token within {self._first_token_limit:g} s"
        return ApiError(504, message, code="upstream_stalled")


def _event_too_long() -> UpstreamFailure:
    """Perhaps the client asked for it: a very long list of probabilities, for example."""
    message = "an event of the model server's response is too large"
    return UpstreamFailure(lost_upstream(message), Retry.NOWHERE, blame=False)
