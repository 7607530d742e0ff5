"""Health check of the restarter's container, run as Docker runs it."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "app/restarter/alive.py"


@contextmanager
def service(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(b'{"status": "body"}')

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def check(folder: Path, port: int) -> tuple[int, str]:
    config = folder / "config.json"
    config.write_text(json.dumps({"port": port}))
    command = [sys.executable, "-IS", str(SCRIPT)]
    done = subprocess.run(
        command, env={"RESTARTER_CONFIG": str(config)}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_only_status_200_is_healthy_and_the_body_is_printed(
    tmp_path: Path, status: int, code: int
) -> None:
    with service(status) as port:
        assert check(tmp_path, port) == (code, '{"status": "body"}\n')


def test_a_closed_port_is_unhealthy(tmp_path: Path) -> None:
    with service(200) as port:
        pass
    code, printed = check(tmp_path, port)
    assert code == 1
    assert "no answer: " in printed
