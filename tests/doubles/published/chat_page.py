"""A chat page in front of an OpenAI-compatible API, in place of Open WebUI.

GET /models lists the API's models, with the key of the environment. PUT and GET /notes/NAME write and
read a file below `data`. /health returns 200 as long as the program runs.
"""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DATA = Path("data")


class ChatPage(BaseHTTPRequestHandler):
    """Answers with plain text or the API's JSON."""

    def do_GET(self) -> None:
        match self.path.split("/")[1:]:
            case ["health"]:
                self.answer(200)
            case ["models"]:
                self.answer(200, models())
            case ["notes", name] if (DATA / name).is_file():
                self.answer(200, (DATA / name).read_bytes())
            case _:
                self.answer(404)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        (DATA / Path(self.path).name).write_bytes(content)
        self.answer(201)

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def models() -> bytes:
    """What the API lists."""
    request = urllib.request.Request(
        f"{os.environ['OPENAI_API_BASE_URL']}/models",
        headers={"authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        body: bytes = response.read()
        return body


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("0.0.0.0", 8080), ChatPage).serve_forever()
