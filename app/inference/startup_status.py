"""HTTP server on the service's port until llama-server starts: answers 503 with the current step.

The body has the same form as llama-server's response while it loads a model, so that clients need
to handle only one form.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from app.shared.json_log import Log

log = Log(__name__)


class StartupStatus:
    """A context manager that serves the status; `report` changes the message."""

    def __init__(self, port: int, host: str = "0.0.0.0") -> None:
        self._host_and_port = (host, port)
        self._message = "starting"
        self._server: ThreadingHTTPServer | None = None

    def report(self, message: str) -> None:
        self._message = message

    @property
    def port(self) -> int | None:
        return self._server.server_port if self._server else None

    def __enter__(self) -> Self:
        status = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                error = {"code": 503, "type": "unavailable_error", "message": status._message}
                body = json.dumps({"error": error}).encode()
                self.send_response(503)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Retry-After", "5")
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Log no requests: health checks every few seconds would hide the progress."""

        try:
            self._server = ThreadingHTTPServer(self._host_and_port, Handler)
        except OSError as error:
            # llama-server will report the same error; until then the model can be downloaded.
            _, port = self._host_and_port
            log.warning("the port cannot be opened", port=port, reason=str(error))
            return self
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
