"""Which requests of the monitor use a proxy: alerts and heartbeats, but no check."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from app.monitor import __main__ as program
from app.monitor.checks.http_client import HttpClient, NoResponse
from app.monitor.settings import Settings
from tests.doubles.certificates import Company, company
from tests.doubles.forward_proxy import forwarding
from tests.doubles.watched_service import serving
from tests.ports import free_port

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_other_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def http_clients() -> AsyncIterator[Callable[..., HttpClient]]:
    made: list[HttpClient] = []

    def make(**options: bool) -> HttpClient:
        made.append(HttpClient.create(**options))
        return made[-1]

    yield make
    for http_client in made:
        await http_client.close()


async def test_a_check_ignores_the_proxy(
    http_clients: Callable[..., HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    async with serving(health=(200, {})) as fake:
        assert (await http_clients().get(f"{fake.url}/health", 5)).status == 200


async def test_external_requests_use_the_proxy(
    http_clients: Callable[..., HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(hook=(200, {})) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        response = await http_clients(external=True).post("http://hooks.invalid/hook", 5, json={})
        assert (response.status, proxy.paths) == (200, ["/hook"])


async def test_a_webhook_in_no_proxy_is_reached_directly(
    http_clients: Callable[..., HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with serving(hook=(200, {})) as fake:
        assert (
            await http_clients(external=True).post(f"{fake.url}/hook", 5, json={})
        ).status == 200


async def test_a_dead_proxy_is_reported(
    http_clients: Callable[..., HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    with pytest.raises(NoResponse, match="the proxy cannot be reached"):
        await http_clients(external=True).get("http://beat.invalid", 5)


async def test_a_proxy_that_refuses_is_reported_with_its_status(
    http_clients: Callable[..., HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(NoResponse, match="the proxy refuses the connection: HTTP 407"):
            await http_clients(external=True).get("https://beat.invalid", 5)


@asynccontextmanager
async def encrypted(made: Company) -> AsyncIterator[str]:
    """The URL of a server whose certificate the company's authority has signed."""
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=made.server_context()).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_the_companys_authority_is_trusted_once_it_is_configured(
    http_clients: Callable[..., HttpClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = company(tmp_path)
    monkeypatch.delenv("EXTRA_CA_FILE", raising=False)
    async with encrypted(made) as url:
        with pytest.raises(NoResponse, match="its certificate is not trusted"):
            await http_clients(external=True).get(url, 5)
        monkeypatch.setenv("EXTRA_CA_FILE", str(made.authority))
        assert (await http_clients(external=True).get(url, 5)).status == 404


async def test_alerts_and_heartbeats_to_https_urls_go_through_a_tunnel_of_the_proxy(
    http_clients: Callable[..., HttpClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = company(tmp_path, "hooks.example.com", "beat.example.com")
    monkeypatch.setenv("EXTRA_CA_FILE", str(made.authority))
    async with encrypted(made) as url, forwarding(int(url.strip("/").rpartition(":")[2])) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", NOWHERE)
        client = http_clients(external=True)
        assert (await client.post("https://hooks.example.com/hook", 5, json={})).status == 404
        assert (await client.get("https://beat.example.com/beat", 5)).status == 404
        assert proxy.targets == ["hooks.example.com:443", "beat.example.com:443"]
        monkeypatch.setenv("NO_PROXY", ".invalid,127.0.0.1")
        proxy.targets.clear()
        assert (await http_clients(external=True).get(url, 5)).status == 404
        with pytest.raises(NoResponse, match="its name does not resolve"):
            await http_clients(external=True).get("https://beat.invalid", 5)
        assert proxy.targets == []


async def test_the_program_checks_directly_and_sends_alerts_through_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        serving(beat=(200, {}), hook=(200, {})) as proxy,
        serving(health=(500, {})) as service,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        (tmp_path / "heartbeat").write_text("http://beat.invalid/beat")
        (tmp_path / "hook").write_text("http://hooks.invalid/hook")
        settings = Settings.model_validate(
            {
                "stack": "dev",
                "internal": {
                    "host": "127.0.0.1",
                    "port": free_port(),
                    "state_dir": tmp_path,
                    "admin_socket": tmp_path / "admin.sock",
                },
                "services": [{"name": "clock", "url": f"{service.url}/health", "start_grace": 0}],
                "thresholds": {"fail_after": 1},
                "restarts": {"enabled": False},
                "alerts": {
                    "heartbeat_url_file": tmp_path / "heartbeat",
                    "webhooks": [{"name": "team", "url_file": tmp_path / "hook"}],
                    "group_wait": 0,
                },
            }
        )
        running = asyncio.create_task(program.run(settings))
        try:
            await asyncio.wait_for(proxy.wait_for_request("/beat"), 10)
            await asyncio.wait_for(proxy.wait_for_request("/hook"), 10)
            assert "/health" not in proxy.paths
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
