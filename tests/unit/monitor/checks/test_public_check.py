"""Checks of public addresses against servers with a certificate, directly and by a proxy."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from app.monitor.checks.http_client import HttpClient
from app.monitor.checks.prober import Prober
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import Service, Thresholds
from tests.doubles.certificates import company
from tests.doubles.forward_proxy import forwarding
from tests.doubles.watched_service import serving

HOST = "chat.example.com"
SIGN_IN = "https://team.cloudflareaccess.com/cdn-cgi/access/login/chat.example.com?kid=1"

Serve = Callable[..., AbstractAsyncContextManager[int]]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Runs a server with a certificate for HOST that the monitor trusts; yields its port."""
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    @asynccontextmanager
    async def start(
        status: int = 200, *, location: str = "", days: float = 60, host: str = HOST
    ) -> AsyncIterator[int]:
        made = company(tmp_path, host, days=days)
        monkeypatch.setenv("EXTRA_CA_FILE", str(made.authority))

        async def answer(request: web.Request) -> web.Response:
            headers = {"Location": location} if location else {}
            return web.Response(status=status, headers=headers)

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=made.server_context()).start()
        port: int = runner.addresses[0][1]
        yield port
        await runner.cleanup()

    return start


async def verdict(url: str, **public: Any) -> Verdict:
    """Of one check, by the clients that the program uses."""
    entry: Mapping[str, object] = {"name": "chat-public", "kind": "public", "url": url}
    service = Service.model_validate({**entry, "public": public})
    inside, outside = HttpClient.create(), HttpClient.create(external=True)
    try:
        prober = Prober(inside, Thresholds(), 5, outside=outside)
        return await prober.check(service, time.time())
    finally:
        await inside.close()
        await outside.close()


async def test_an_address_that_asks_for_a_sign_in_is_ok(serve: Serve) -> None:
    async with serve(302, location=SIGN_IN) as port:
        found = await verdict(f"https://localhost:{port}/health", sign_in=True)
        assert (found.state, found.reason) == (State.OK, "asks for a sign-in")
        assert found.latency is not None


@pytest.mark.parametrize(
    ("status", "location"),
    [
        (200, ""),
        (404, ""),
        (302, "https://chat.example.com/login"),
        (302, "https://cloudflareaccess.com.evil.example/"),
        (302, "http://team.cloudflareaccess.com/"),
    ],
)
async def test_an_answer_without_a_sign_in_is_a_failure(
    serve: Serve, status: int, location: str
) -> None:
    async with serve(status, location=location) as port:
        found = await verdict(f"https://localhost:{port}/health", sign_in=True)
        assert (found.state, found.code) == (State.DOWN, "no_sign_in")
        assert not found.excusable, "a dependency that is down explains no open door"
        assert f"HTTP {status} without the sign-in" in found.reason


async def test_a_public_address_has_to_answer(serve: Serve) -> None:
    async with serve(200) as port:
        assert (await verdict(f"https://localhost:{port}/health")).state is State.OK
    async with serve(404) as port:
        assert (await verdict(f"https://localhost:{port}/health")).code == "http_404"


async def test_a_tunnel_without_its_connector_is_explained_by_the_connector(serve: Serve) -> None:
    async with serve(530) as port:
        found = await verdict(f"https://localhost:{port}/", sign_in=True)
        assert (found.state, found.code, found.excusable) == (State.DOWN, "http_530", True)


@pytest.mark.parametrize(
    ("days", "least", "state"), [(10, 14, State.DOWN), (20, 14, State.OK), (10, 7, State.OK)]
)
async def test_a_certificate_has_to_be_valid_for_some_days(
    serve: Serve, days: float, least: int, state: State
) -> None:
    async with serve(days=days) as port:
        found = await verdict(f"https://localhost:{port}/", certificate_days=least)
        assert found.state is state
        if state is State.DOWN:
            assert "its certificate ends in 10.0 days, less than 14 days" in found.reason


async def test_an_expired_certificate_is_named(serve: Serve) -> None:
    async with serve(days=-1) as port:
        found = await verdict(f"https://localhost:{port}/")
        assert (found.state, found.code) == (State.DOWN, "certificate")
        assert "expired" in found.reason


async def test_a_certificate_of_another_name_is_named(serve: Serve) -> None:
    async with serve() as port, forwarding(port) as proxy:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HTTPS_PROXY", proxy.url)
            found = await verdict("https://other.example.com/")
        assert (found.state, found.code) == (State.DOWN, "certificate")
        assert "other.example.com" in found.reason


async def test_a_name_that_does_not_resolve_is_a_failure(serve: Serve) -> None:
    found = await verdict("https://chat.invalid/")
    assert (found.state, found.reason) == (State.DOWN, "its name does not resolve")


async def test_the_check_goes_through_the_proxy(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(302, location=SIGN_IN, days=10) as port, forwarding(port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        found = await verdict(f"https://{HOST}/health", sign_in=True, certificate_days=7)
        assert (found.state, found.reason) == (State.OK, "asks for a sign-in")
        found = await verdict(f"https://{HOST}/health", sign_in=True)
        assert found.code == "certificate"
        assert set(proxy.targets) == {f"{HOST}:443"}


async def test_the_address_of_a_quick_tunnel_is_that_of_its_connector(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = "quiet-1a2b.trycloudflare.com"
    async with (
        serve(host=host) as port,
        forwarding(port) as proxy,
        serving(quicktunnel=(200, {"hostname": host})) as connector,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        found = await verdict(connector.url, quick=True, path="/health")
        assert found.state is State.OK
        assert proxy.targets == [f"{host}:443"]
        connector.responses.clear()
        found = await verdict(connector.url, quick=True, path="/health")
        assert (found.code, found.excusable) == ("no_address", True)
