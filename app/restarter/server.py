"""The HTTP side: `POST /restart` for the monitor, `GET /health` for the health check.

One request a connection, so that nothing is ever read as the start of a second one. Refused
are other paths and verbs, bodies over a limit, slow or too many connections.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from app.restarter.containers import Container, Decision, Failure, decide
from app.restarter.engine import Engine, EngineError
from app.restarter.gate import Gate, Rates, Refused
from app.restarter.settings import NAME, Settings

BODY_LIMIT = 2048
CONNECTIONS = 16
READ_WITHIN = 5.0
"""Seconds in which a request must have arrived whole."""


def log(level: str, message: str, /, **fields: object) -> None:
    """Write one JSON line on standard output, in the form of the other images' logs."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"time": now, "level": level, "message": message, **fields}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Restarter:
    """Carries out what is asked, within what the settings allow."""

    def __init__(
        self,
        settings: Settings,
        token: bytes,
        engine: Engine,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self.gate = Gate(token, clock)
        self._rates = Rates(settings.max_per_hour, settings.min_gap, clock)
        self._under_way: dict[str, Future[dict[str, object]]] = {}
        self._lock = threading.Lock()

    def health(self) -> tuple[int, dict[str, object]]:
        """Status and body of the health answer."""
        try:
            self._engine.ping()
        except (EngineError, FileNotFoundError) as error:
            return 503, {"status": "failing", "reason": str(error)}
        return 200, {"status": "ok"}

    def restart(self, body: bytes) -> dict[str, object]:
        """Do what a signed body asks for, and tell the outcome; raises Refused."""
        request = read_request(body)
        service = request["service"]
        if service not in self._settings.services:
            raise Refused(403, f"{service} may not be restarted")
        with self._lock:
            first = service not in self._under_way
            outcome = self._under_way.setdefault(service, Future())
        if not first:
            # A monitor that was killed while it waited asks again: it is told of the same restart.
            return outcome.result()
        try:
            answer = self._restart(request)
        except EngineError as error:
            answer = {"outcome": "engine_failed", "detail": str(error)}
        except BaseException as error:
            outcome.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._under_way[service]
        outcome.set_result(answer)
        log("info", "restart", service=service, reason=request["reason"], **answer)
        return answer

    def _restart(self, request: dict[str, Any]) -> dict[str, object]:
        found = self._engine.containers(self._settings.stack, request["service"])
        failure = Failure(
            request["failing_since"], request["known_start"], request["second_opinion"]
        )
        decision = decide(found, failure, self._clock())
        if decision.outcome == "restart" and decision.container:
            return self._carry_out(request["service"], decision.container, decision)
        return _answer(decision.outcome, decision)

    def _carry_out(
        self, service: str, container: Container, decision: Decision
    ) -> dict[str, object]:
        taken_at = self._rates.take(service)
        try:
            self._engine.restart(container)
        except FileNotFoundError:
            return _answer("not_found", decision)
        except EngineError:
            self._rates.give_back(service, taken_at)
            raise
        return _answer("restarted", decision)


def _answer(outcome: str, decision: Decision) -> dict[str, object]:
    answer: dict[str, object] = {"outcome": outcome, "detail": decision.detail}
    if outcome == "fresh" and decision.container:
        answer["started_at"] = decision.container.started_at
    if decision.wait is not None:
        answer["wait"] = round(decision.wait, 1)
    return answer


def read_request(body: bytes) -> dict[str, Any]:
    """The fields of a body; raises Refused for anything that is not exactly as agreed."""
    try:
        data = json.loads(body)
    except ValueError:
        raise Refused(400, "the body is no JSON") from None
    if not isinstance(data, dict) or set(data) != set(FIELDS):
        raise Refused(400, f"the body must have exactly the fields {', '.join(FIELDS)}")
    for field, fits in FIELDS.items():
        if not fits(data[field]):
            raise Refused(400, f"{field}: not allowed: {str(data[field])[:80]!r}")
    return data


def _is_name(value: object) -> bool:
    return isinstance(value, str) and NAME.fullmatch(value) is not None


FIELDS: dict[str, Callable[[object], bool]] = {
    "service": _is_name,
    "reason": lambda value: isinstance(value, str) and len(value) <= 500,
    "failing_since": lambda value: type(value) in (int, float),
    "known_start": lambda value: type(value) in (int, float),
    "second_opinion": lambda value: isinstance(value, bool),
}


class RefusalLog:
    """Tells of refusals, a line a second at most, so that a flood does not fill the log."""

    def __init__(self) -> None:
        self._told_at = 0.0
        self._untold = 0

    def tell(self, refusal: Refused) -> None:
        """Log a refusal, or count it."""
        now = time.monotonic()
        if now - self._told_at < 1:
            self._untold += 1
            return
        log("warning", "refused", status=refusal.status, reason=str(refusal), others=self._untold)
        self._told_at, self._untold = now, 0


class Server(ThreadingHTTPServer):
    """Serves a bounded number of connections at once; closes the others unheard."""

    def __init__(self, address: tuple[str, int], restarter: Restarter) -> None:
        super().__init__(address, Handler)
        self.restarter = restarter
        self.refusals = RefusalLog()
        self._free = threading.BoundedSemaphore(CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection, if there is one left."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, then give the thread back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none of our troubles; the rest is told in one line."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            log("error", "unexpected error", reason=f"{type(error).__name__}: {error}")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.0"
    timeout = READ_WITHIN

    def setup(self) -> None:
        """Give the client a while to send its request, however it drips."""
        super().setup()
        self._deadline = threading.Timer(READ_WITHIN, self._cut_off)
        self._deadline.daemon = True
        self._deadline.start()

    def finish(self) -> None:
        """Close the connection."""
        self._deadline.cancel()
        super().finish()

    def _cut_off(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        """Answer `/health`."""
        self._deadline.cancel()
        if self.path != "/health":
            self._reply(404, {"error": "not found"})
            return
        self._reply(*self.server.restarter.health())

    def do_POST(self) -> None:
        """Answer `/restart`."""
        try:
            self._reply(200, self._restart())
        except Refused as refusal:
            self.server.refusals.tell(refusal)
            self._reply(refusal.status, {"error": str(refusal)})

    def _restart(self) -> dict[str, object]:
        body = self._body()
        self._deadline.cancel()
        # As sent: http.server folds slashes at the start of `self.path` into one.
        if self.requestline.split()[1] != "/restart":
            raise Refused(404, "not found")
        headers = {name: self.headers.get(name, "") for name in SIGNED_HEADERS}
        self.server.restarter.gate.check(headers, "POST", "/restart", body)
        return self.server.restarter.restart(body)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or "Transfer-Encoding" in self.headers:
            raise Refused(411, "a body with a Content-Length is needed")
        if int(length[:9]) > BODY_LIMIT or len(length) > 9:
            raise Refused(413, f"the body is longer than {BODY_LIMIT} bytes")
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            raise Refused(400, "the body is shorter than its Content-Length")
        return body

    def _reply(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what http.server itself refuses, other verbs above all, without a page."""
        self._reply(405 if code == 501 else code, {"error": message or "refused"})

    def log_message(self, format: str, *args: Any) -> None:
        """No access log: what matters is logged where it happens."""


SIGNED_HEADERS = ("X-Timestamp", "X-Nonce", "X-Signature")
