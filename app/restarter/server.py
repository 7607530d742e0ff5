"""HTTP server: `GET /challenge` and `POST /restart` for the monitor, `GET /health` for Docker.

It serves one request per connection, so that no bytes can be taken for a second request. It refuses
other paths and methods, large bodies, slow connections and too many of them.
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

from app.restarter.allowed_services import AllowedServices
from app.restarter.authentication import Authenticator, Refused, RestartLimit
from app.restarter.containers import Container, Decision, FailureReport, decide
from app.restarter.engine import Engine, EngineError
from app.restarter.settings import NAME, Settings

LARGEST_BODY_BYTES = 2048
MAX_CONNECTIONS = 16
HUNG_STOP_SECONDS = 5
"""Between SIGTERM and SIGKILL for a container whose own health check fails: no time to drain."""

REQUEST_SECONDS = 5.0
"""A request must arrive completely within this time."""


def log(level: str, message: str, /, **fields: object) -> None:
    """Write one JSON line on standard output, in the form of the other images' logs."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"time": now, "level": level, "message": message, **fields}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Restarter:
    """Restarts services, within the limits of the settings."""

    def __init__(
        self,
        settings: Settings,
        token: bytes,
        engine: Engine,
        clock: Callable[[], float] = time.time,
        steady_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self.services: Callable[[], tuple[str, ...]] = lambda: settings.services
        if settings.service_list is not None:
            self.services = AllowedServices(settings.service_list, _report_list)
        self._clock = clock
        self.authenticator = Authenticator(token, steady_clock)
        self._limit = RestartLimit(settings.max_per_hour, settings.min_gap, steady_clock)
        self._running: dict[str, Future[dict[str, object]]] = {}
        self._lock = threading.Lock()

    def health(self) -> tuple[int, dict[str, object]]:
        """Status and body of the `/health` response."""
        try:
            self._engine.ping()
        except (EngineError, FileNotFoundError) as error:
            return 503, {"status": "failing", "reason": str(error)}
        return 200, {"status": "ok"}

    def check_socket(self) -> None:
        """Raise StaleSocket where Docker can be reached only after a new start."""
        self._engine.check_socket()

    def restart(self, body: bytes) -> dict[str, object]:
        """Handle the body of an authenticated request and return the response; raises Refused."""
        request = read_request(body)
        service = request["service"]
        if service not in self.services():
            raise Refused(403, f"{service} is not in the list of services to restart")
        with self._lock:
            first = service not in self._running
            outcome = self._running.setdefault(service, Future())
        if not first:
            # The monitor repeats a request after its own restart: return the result of the first.
            return outcome.result()
        try:
            response = self._restart(request)
        except EngineError as error:
            response = {"outcome": "engine_failed", "detail": str(error)}
        except BaseException as error:
            outcome.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._running[service]
        outcome.set_result(response)
        log("info", "restart", service=service, reason=request["reason"], **response)
        return response

    def _restart(self, request: dict[str, Any]) -> dict[str, object]:
        containers = self._engine.containers(self._settings.stack, request["service"])
        report = FailureReport(
            request["failing_since"], request["known_start"], request["second_opinion"]
        )
        decision = decide(containers, report, self._clock())
        if decision.outcome == "restart" and decision.container:
            return self._restart_container(request["service"], decision.container, decision)
        return _response(decision.outcome, decision)

    def _restart_container(
        self, service: str, container: Container, decision: Decision
    ) -> dict[str, object]:
        taken_at = self._limit.take(service)
        try:
            self._engine.restart(container, HUNG_STOP_SECONDS if decision.hangs else None)
        except FileNotFoundError:
            return _response("not_found", decision)
        except EngineError:
            self._limit.give_back(service, taken_at)
            raise
        return _response("restarted", decision)


def _report_list(problem: str) -> None:
    log(
        "warning", "the list of services is not valid; the earlier one stays in use", reason=problem
    )


def _response(outcome: str, decision: Decision) -> dict[str, object]:
    response: dict[str, object] = {"outcome": outcome, "detail": decision.detail}
    if outcome == "fresh" and decision.container:
        response["started_at"] = decision.container.started_at
    if decision.wait is not None:
        response["wait"] = round(decision.wait, 1)
    return response


def read_request(body: bytes) -> dict[str, Any]:
    """The fields of a body; raises Refused for missing, unknown or invalid fields."""
    try:
        data = json.loads(body)
    except ValueError:
        raise Refused(400, "the body is not valid JSON") from None
    if not isinstance(data, dict) or set(data) != set(FIELDS):
        raise Refused(400, f"the body must have exactly the fields {', '.join(FIELDS)}")
    for field, is_valid in FIELDS.items():
        if not is_valid(data[field]):
            raise Refused(400, f"{field}: invalid value {str(data[field])[:80]!r}")
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
    """Logs at most one refusal per second, so that many of them do not fill the log."""

    def __init__(self) -> None:
        self._logged_at = 0.0
        self._skipped = 0

    def add(self, refusal: Refused) -> None:
        """Log a refusal, or only count it."""
        now = time.monotonic()
        if now - self._logged_at < 1:
            self._skipped += 1
            return
        log("warning", "refused", status=refusal.status, reason=str(refusal), skipped=self._skipped)
        self._logged_at, self._skipped = now, 0


class Server(ThreadingHTTPServer):
    """Serves a limited number of connections at once; closes further ones without reading."""

    def __init__(self, host_and_port: tuple[str, int], restarter: Restarter) -> None:
        super().__init__(host_and_port, Handler)
        self.restarter = restarter
        self.refusals = RefusalLog()
        self._free_connections = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def service_actions(self) -> None:
        """Between requests: raises StaleSocket where only a new start helps."""
        self.restarter.check_socket()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection, unless the limit is reached."""
        if self._free_connections.acquire(blocking=False):
            try:
                super().process_request(request, client_address)
            except BaseException:
                # Without a thread, such as at the limit of processes, nothing else frees it.
                self._free_connections.release()
                raise
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, then free its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free_connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore disconnects; log any other error on one line."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            log("error", "unexpected error", reason=f"{type(error).__name__}: {error}")


class Handler(BaseHTTPRequestHandler):
    """Handles the request of one connection."""

    server: Server
    protocol_version = "HTTP/1.0"
    timeout = REQUEST_SECONDS

    def setup(self) -> None:
        """Start the timer that closes the connection of a slow client."""
        super().setup()
        self._deadline = threading.Timer(REQUEST_SECONDS, self._close)
        self._deadline.daemon = True
        self._deadline.start()

    def finish(self) -> None:
        """Close the connection."""
        self._deadline.cancel()
        super().finish()

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        """Answer `/health` and `/challenge`."""
        self._deadline.cancel()
        restarter = self.server.restarter
        if self.path == "/health":
            self._reply(*restarter.health())
        elif self.path == "/challenge":
            self._reply(200, {"challenge": restarter.authenticator.challenge()})
        else:
            self._reply(404, {"error": "not found"})

    def do_POST(self) -> None:
        """Answer `/restart`."""
        try:
            self._reply(200, self._restart())
        except Refused as refusal:
            self.server.refusals.add(refusal)
            self._reply(refusal.status, {"error": str(refusal)})

    def _restart(self) -> dict[str, object]:
        body = self._body()
        self._deadline.cancel()
        # Not `self.path`: http.server merges slashes at its start.
        if self.requestline.split()[1] != "/restart":
            raise Refused(404, "not found")
        headers = {name: self.headers.get(name, "") for name in SIGNED_HEADERS}
        self.server.restarter.authenticator.check(headers, "POST", "/restart", body)
        return self.server.restarter.restart(body)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or "Transfer-Encoding" in self.headers:
            raise Refused(411, "the request needs a body with a Content-Length")
        if int(length[:9]) > LARGEST_BODY_BYTES or len(length) > 9:
            raise Refused(413, f"the body is longer than {LARGEST_BODY_BYTES} bytes")
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
        """Answer in JSON what http.server itself refuses, such as other methods."""
        self._reply(405 if code == 501 else code, {"error": message or "refused"})

    def log_message(self, format: str, *args: Any) -> None:
        """Write no access log: restarts and refusals are logged where they happen."""


SIGNED_HEADERS = ("X-Challenge", "X-Signature")
