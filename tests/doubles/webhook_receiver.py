"""A webhook receiver: prints the path and the body of each request and answers 200.

Runs in a container on a stack's network, on the standard library only.
"""

from __future__ import annotations

import http.server

PORT = 8000


class Receiver(http.server.BaseHTTPRequestHandler):
    def _receive(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        print(self.path, self.rfile.read(size).decode(), flush=True)
        self.send_response(200)
        self.end_headers()

    do_GET = do_POST = _receive


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", PORT), Receiver).serve_forever()
