"""Reachability of a host, with the proxy of the shell and a deadline."""

from __future__ import annotations

import http.server
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest

from toolchain.stack import reachability


class Proxy(http.server.BaseHTTPRequestHandler):
    """Responds for any host and records the requests."""

    requested: list[str]
    status = 401

    def do_HEAD(self) -> None:
        self.requested.append(self.path)
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Proxy]]:
    handler = type("OneProxy", (Proxy,), {"requested": []})
    # urllib keeps the opener of an earlier environment.
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


def test_request_uses_the_proxy(proxy: type[Proxy]) -> None:
    assert reachability.is_reachable("http://registry.invalid/v2/")
    assert proxy.requested == ["http://registry.invalid/v2/"]


def test_unreachable_proxy_is_not_reachable(
    monkeypatch: pytest.MonkeyPatch, proxy: type[Proxy]
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert not reachability.is_reachable("http://registry.invalid/v2/")


def test_server_error_is_not_reachable(monkeypatch: pytest.MonkeyPatch, proxy: type[Proxy]) -> None:
    monkeypatch.setattr(proxy, "status", 502)
    assert not reachability.is_reachable("http://registry.invalid/v2/")


def test_host_with_several_addresses_has_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout for each address would add up."""
    ended = threading.Event()

    def connect(self: socket.socket, address: object) -> None:
        ended.wait(2)
        raise TimeoutError

    address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address] * 5)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(reachability, "SECONDS", 0.1)
    before = set(threading.enumerate())
    start = time.monotonic()
    assert not reachability.is_reachable("http://registry.invalid/v2/")
    assert time.monotonic() - start < 1
    ended.set()
    for thread in set(threading.enumerate()) - before:
        thread.join()
