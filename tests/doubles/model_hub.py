"""Fake model hub with one repository, for the requests of downloads.

It sends the headers of the real hub: HEAD `/<repository>/resolve/<revision>/<file>` redirects to the
storage host, with X-Repo-Commit, X-Linked-Etag and X-Linked-Size; GET of the storage honours Range.
Errors have X-Error-Code and X-Error-Message. Its attributes make it fail in several ways.

It also runs as a program: `python model_hub.py PORT REPOSITORY STORAGE_HOST FILE…`.
"""

import hashlib
import re
import ssl
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

COMMIT = "1234567890abcdef1234567890abcdef12345678"


@dataclass
class FakeHub:
    """One repository with files; every attribute may be changed while it serves."""

    repository: str = "someone/model-gguf"
    name: str = "model.gguf"
    content: bytes = b""
    others: dict[str, bytes] = field(default_factory=dict)
    """More files by name."""
    revisions: tuple[str, ...] = ("main", COMMIT)
    gated: bool = False
    terms_accepted: bool = False
    private: bool = False
    allowed_token: str | None = None
    announced_sha256: str | None = None
    """The digest in the ETag, if it is not that of the content."""
    cut_after: list[int] = field(default_factory=list)
    """For each of the next downloads, after how many bytes the connection is cut."""
    ignores_range: bool = False
    failing_answers: list[int] = field(default_factory=list)
    """Status codes of the next responses, before anything else is checked."""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Every request so far: method, path and Range header."""
    proxied: list[str] = field(default_factory=list)
    """The host of each request that was sent as to a proxy."""
    tls: ssl.SSLContext | None = None
    bytes_sent: int = 0
    host_and_port: tuple[str, int] = ("127.0.0.1", 0)
    storage_host: str = "localhost"
    """Not the host name of the hub: the token must not be sent there."""
    tokens_at_storage: list[str] = field(default_factory=list)

    def __enter__(self) -> "FakeHub":
        hub = self

        class Handler(_Handler):
            fake_hub = hub

        self._server = ThreadingHTTPServer(self.host_and_port, Handler)
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self._server.server_port}"

    @property
    def sha256(self) -> str:
        return self.sha256_of(self.name)

    def sha256_of(self, name: str) -> str:
        """The digest that the hub announces for a file."""
        if name == self.name and self.announced_sha256:
            return self.announced_sha256
        return hashlib.sha256(self.files[name]).hexdigest()

    @property
    def files(self) -> dict[str, bytes]:
        """The content of every file by name."""
        return {self.name: self.content, **self.others}

    def ranges(self) -> list[str | None]:
        """The Range header of each download so far."""
        return [
            wanted
            for method, path, wanted in self.requests
            if path.startswith("/storage/") and method == "GET"
        ]


class _Handler(BaseHTTPRequestHandler):
    fake_hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._respond()

    def do_GET(self) -> None:
        self._respond()

    def _respond(self) -> None:
        hub = self.fake_hub
        # A proxy receives the whole URL: respond in place of that host.
        if found := re.match(r"https?://([^/]+)", self.path):
            hub.proxied.append(found[1])
            self.path = self.path.removeprefix(found[0])
        hub.requests.append((self.command, self.path, self.headers.get("Range")))
        if hub.failing_answers:
            self._reply(hub.failing_answers.pop(0))
        elif self.path.startswith("/storage/"):
            self._send_content()
        elif refusal := self._refusal():
            self._reply(*refusal)
        else:
            self._redirect_to_storage(self.path.split("/", 5)[5])

    def _refusal(self) -> tuple[int, str, str] | None:
        """Status, error code and message, checked in the order of the real hub."""
        hub = self.fake_hub
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        found = re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", self.path)
        if token and token != hub.allowed_token:
            return 401, "", "Invalid credentials in Authorization header"
        if found is None or found[1] != hub.repository or (hub.private and not token):
            return (404 if token else 401), "RepoNotFound", "Repository not found"
        if hub.gated and not hub.terms_accepted:
            message = f"Access to model {hub.repository} is restricted."
            return (403 if token else 401), "GatedRepo", message
        if found[2] not in hub.revisions:
            return 404, "RevisionNotFound", f"Invalid rev id: {found[2]}"
        if found[3] not in hub.files:
            return 404, "EntryNotFound", "Entry not found"
        return None

    def _redirect_to_storage(self, name: str) -> None:
        hub = self.fake_hub
        scheme = "https" if hub.tls else "http"
        storage = f"{scheme}://{hub.storage_host}:{hub._server.server_port}/storage"
        self._reply(
            302,
            headers={
                "Location": f"{storage}/{name}",
                "X-Repo-Commit": COMMIT,
                "X-Linked-Etag": f'"{hub.sha256_of(name)}"',
                "X-Linked-Size": str(len(hub.files[name])),
            },
        )

    def _send_content(self) -> None:
        hub = self.fake_hub
        start = 0
        if token := self.headers.get("Authorization"):
            hub.tokens_at_storage.append(token)
        if (wanted := self.headers.get("Range")) and not hub.ignores_range:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        content = hub.files[self.path.removeprefix("/storage/")]
        rest = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        if start:
            total = len(content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.end_headers()
        if hub.cut_after:
            rest = rest[: hub.cut_after.pop(0)]
            self.close_connection = True
        self.wfile.write(rest)
        hub.bytes_sent += len(rest)

    def _reply(
        self,
        status: int,
        code: str = "",
        message: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        if message:
            self.send_header("X-Error-Message", message)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


if __name__ == "__main__":
    _, port, repository, storage_host, *paths = sys.argv
    first, *others = map(Path, paths)
    serving = FakeHub(
        repository,
        first.name,
        first.read_bytes(),
        {path.name: path.read_bytes() for path in others},
        host_and_port=("0.0.0.0", int(port)),
        storage_host=storage_host,
    )
    with serving:
        threading.Event().wait()
