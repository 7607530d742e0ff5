"""A service that fails on demand: llama-server, chat, connector and webhook receiver in one script.

Environment: START_DELAY (seconds before it listens), LOADING (seconds of "Loading model"),
BROKEN (exit with 1 at once). `POST /behave` with one of the words in `MODES` changes its behaviour
until it is restarted. `scripted_service.py check` is the health check of its container.
"""

import json
import os
import signal
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 8000
PARENT = f"http://parent:{PORT}/health"
MODES = (
    "ok",
    "mute",  # healthy, idle, and never generates a token
    "stuck",  # healthy, a slot busy that never advances
    "loaded",  # all slots busy and advancing
    "fail",  # returns 500
    "as_parent",  # ready only while the service named "parent" responds
    "greedy",  # takes memory until it is killed
    "stubborn",  # returns 500, and ignores SIGTERM
)
LOADING = {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}


class ScriptedService:
    def __init__(self) -> None:
        self.mode = "ok"
        self.ready_at = 0.0
        self.completions = 0
        self.messages: list[Any] = []

    @property
    def tokens(self) -> int:
        """Grows with time while it is loaded, as with real tokens."""
        return int(time.monotonic() * 20)

    def behave(self, mode: str) -> None:
        assert mode in MODES, mode
        self.mode = mode
        if mode == "greedy":
            # After the response to this request.
            timer = threading.Timer(0.5, use_up_memory)
            timer.daemon = True
            timer.start()

    def get(self, path: str) -> tuple[int, Any]:
        if time.monotonic() < self.ready_at:
            return 503, LOADING
        if self.mode in ("fail", "stubborn") and path != "/messages":
            return 500, {"error": "fails on demand"}
        if path == "/health":
            return 200, {"status": "ok"}
        if path == "/ready":
            ready = self.mode != "as_parent" or responds(PARENT)
            return (200 if ready else 503), {"readyConnections": 4 if ready else 0}
        if path == "/slots":
            return 200, self.slots()
        if path == "/metrics":
            count = self.tokens if self.mode == "loaded" else self.completions
            return 200, f"llamacpp:n_decode_total {count}\n"
        if path == "/messages":
            return 200, self.messages
        return 404, {"error": {"message": "File Not Found"}}

    def slots(self) -> list[dict[str, Any]]:
        busy = self.mode in ("stuck", "loaded")
        decoded = self.tokens if self.mode == "loaded" else 3
        return [
            {"id": i, "is_processing": busy, "id_task": 1, "next_token": [{"n_decoded": decoded}]}
            for i in range(2)
        ]

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        if path == "/behave":
            self.behave(body["mode"])
        elif path == "/webhook":
            self.messages.append(body)
        elif path == "/completion":
            # Not while it is stuck: a test request that was sent before must not be what fails.
            if self.mode == "mute":
                time.sleep(3600)
            self.completions += 1
        return 200, {"content": "a"}


def responds(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


def use_up_memory() -> None:
    used = []
    while True:
        used.append(bytearray(os.urandom(1 << 20)))


SERVICE = ScriptedService()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.reply(*SERVICE.get(self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(*SERVICE.post(self.path, json.loads(body)))

    def reply(self, status: int, body: Any) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def terminate(number: int, frame: object) -> None:
    if SERVICE.mode != "stubborn":
        os._exit(0)


def main() -> int:
    if sys.argv[1:] == ["check"]:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=3) as response:
            return 0 if response.status == 200 else 1
    if os.environ.get("BROKEN"):
        return 1
    signal.signal(signal.SIGTERM, terminate)
    time.sleep(float(os.environ.get("START_DELAY", "0")))
    SERVICE.ready_at = time.monotonic() + float(os.environ.get("LOADING", "0"))
    server = ThreadingHTTPServer(("0.0.0.0", PORT), Handler)
    server.daemon_threads = True
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
