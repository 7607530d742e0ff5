"""Whether a host answers: asked by way of the shell's proxy, as the downloads that follow are."""

from __future__ import annotations

import http.server
import threading
import urllib.request
from collections.abc import Iterator

import pytest

from toolchain.stack import reachability


class Proxy(http.server.BaseHTTPRequestHandler):
    """Answers in the name of any host, and remembers which."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        self.send_response(401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Proxy]]:
    handler = type("OneProxy", (Proxy,), {"asked": []})
    # The library keeps the opener that it made with an earlier environment.
    monkeypatch.setattr(urllib.request, "_opener", None)
    for name in ("http_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
        yield handler
        server.shutdown()
        thread.join()


def test_a_host_is_asked_by_way_of_the_proxy(proxy: type[Proxy]) -> None:
    assert reachability.answers("http://registry.invalid/v2/")
    assert proxy.asked == ["http://registry.invalid/v2/"]


def test_a_dead_proxy_is_no_answer(monkeypatch: pytest.MonkeyPatch, proxy: type[Proxy]) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert not reachability.answers("http://registry.invalid/v2/")
