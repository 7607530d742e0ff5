"""A double of Cloudflare's edge in a container: HTTPS for a public name, with or without Access.

Serves on port 443 with the certificate /edge/server.pem. The file /edge/open decides whether a
request reaches the service (200), or is sent to the sign-in of Cloudflare Access (302).
"""

from __future__ import annotations

import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path("/edge")
SIGN_IN = "https://team.cloudflareaccess.com/cdn-cgi/access/login/chat.example.com"


class Edge(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        if (FOLDER / "open").exists():
            self.send_response(200)
        else:
            self.send_response(302)
            self.send_header("Location", SIGN_IN)
        self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FOLDER / "server.pem")
    server = ThreadingHTTPServer(("", 443), Edge)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
