"""The health check of the images, run as Docker runs it: a script without site packages."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "app/shared/health_check.py"


@contextmanager
def service(status: int, body: bytes = b'{"status": "ok"}') -> Iterator[int]:
    """A service that answers `/health` with a status and a body; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def check(default_port: int, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and output of the check."""
    command = [sys.executable, "-IS", str(SCRIPT), str(default_port)]
    ended = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"]} | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


@pytest.mark.parametrize(("status", "code"), [(200, 0), (404, 1), (503, 1)])
def test_only_status_200_is_healthy_and_the_body_is_printed(status: int, code: int) -> None:
    with service(status, b'{"message": "fetching the model: 42.0 %"}') as port:
        assert check(port) == (code, '{"message": "fetching the model: 42.0 %"}\n')


def test_a_closed_port_is_unhealthy() -> None:
    with service(200) as port:
        pass
    code, printed = check(port)
    assert code == 1
    assert printed.startswith("no answer: ")


def test_port_of_the_environment_wins_over_the_default() -> None:
    with service(200) as port:
        assert check(1, {"PORT": str(port)})[0] == 0
        assert check(port, {"PORT": ""})[0] == 0, "an empty variable counts as unset"


def test_a_long_body_is_cut() -> None:
    with service(503, b"x" * 100_000) as port:
        code, printed = check(port)
    assert code == 1
    assert printed == "x" * 500 + "\n"
