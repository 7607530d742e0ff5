"""Answers on the service's port until llama-server takes it over: 503, and what is being done.

The body has the form that llama-server's own answers have while it loads a model, so whoever asks
needs to know one form only.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from app.shared.json_log import Log

log = Log(__name__)


class StartupStatus:
    """A context manager that holds the port; `tell` changes what is answered."""

    def __init__(self, port: int, host: str = "0.0.0.0") -> None:
        self._address = (host, port)
        self._message = "starting"
        self._server: ThreadingHTTPServer | None = None

    def tell(self, message: str) -> None:
        self._message = message

    @property
    def port(self) -> int | None:
        return self._server.server_port if self._server else None

    def __enter__(self) -> Self:
        status = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(
                    {
                        "error": {
                            "code": 503,
                            "type": "unavailable_error",
                            "message": status._message,
                        }
                    }
                ).encode()
                self.send_response(503)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Retry-After", "5")
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Probes come every few seconds; a line for each would hide the progress."""

        try:
            self._server = ThreadingHTTPServer(self._address, Answer)
        except OSError as error:
            # llama-server will meet the same obstacle, and say so; the model can be fetched anyway.
            log.warning("the port cannot be opened", port=self._address[1], reason=str(error))
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
