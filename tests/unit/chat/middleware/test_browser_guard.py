"""Security headers, and the refusal of requests from pages of other sites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.doubles.model_server import ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

FRIEND = "https://friend.example"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
async def site(server: ModelServer, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with a page; one other origin is allowed."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Chat</title>")
    (tmp_path / "assets" / "page-1a2b.js").write_text("export {}")
    (tmp_path / "diagrams").mkdir()
    (tmp_path / "diagrams" / "frame.js").write_text("parent")
    configuration = settings(server.url, cors_origins=[FRIEND])
    async with running(configuration, web_root=tmp_path) as url, client_of(url) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/assets/page-1a2b.js", "/health", "/v1/models", "/nope"])
async def test_every_response_carries_the_security_headers(
    site: httpx.AsyncClient, path: str
) -> None:
    headers = (await site.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self';" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


async def test_the_page_is_revalidated_and_its_assets_are_kept(site: httpx.AsyncClient) -> None:
    page = await site.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-cache"
    asset = await site.get("/assets/page-1a2b.js")
    assert "immutable" in asset.headers["cache-control"]
    assert "javascript" in asset.headers["content-type"]
    assert (await site.get("/assets/../../secret")).status_code == 404


async def test_without_a_page_the_api_works_and_the_root_is_404(
    gateway: httpx.AsyncClient,
) -> None:
    response = await gateway.get("/")
    assert response.status_code == 404
    assert "page was not built" in response.text
    assert (await gateway.get("/v1/models")).status_code == 200


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
async def test_a_page_of_another_site_is_refused_and_its_origin_is_not_reflected(
    site: httpx.AsyncClient, server: ModelServer, method: str
) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    response = await site.request(method, "/v1/chat/completions", json=QUESTION, headers=headers)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers
    assert not server.received


async def test_only_the_frame_for_diagrams_is_loaded_without_an_origin(
    site: httpx.AsyncClient, server: ModelServer
) -> None:
    headers = {"origin": "null"}
    script = await site.get("/diagrams/frame.js", headers=headers)
    assert script.headers["cross-origin-resource-policy"] == "cross-origin"
    policy = script.headers["content-security-policy"]
    assert "sandbox allow-scripts" in policy
    assert "default-src 'none'; script-src 'self';" in policy
    for path in ("/", "/assets/page-1a2b.js", "/status", "/v1/models", "/diagrams/../status"):
        assert (await site.get(path, headers=headers)).status_code == 403
    assert (await site.post("/diagrams/frame.js", headers=headers)).status_code == 403
    asked = await site.post("/v1/chat/completions", json=QUESTION, headers=headers)
    assert asked.status_code == 403
    assert not server.received


async def test_the_gateways_own_page_may_call(site: httpx.AsyncClient) -> None:
    own = str(site.base_url).rstrip("/")
    response = await site.post("/v1/chat/completions", json=QUESTION, headers={"origin": own})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


async def test_an_allowed_origin_may_call_and_is_in_the_cors_header(
    site: httpx.AsyncClient,
) -> None:
    asks = {"origin": FRIEND, "access-control-request-method": "POST"}
    preflight = await site.options("/v1/chat/completions", headers=asks)
    assert preflight.headers["access-control-allow-origin"] == FRIEND
    response = await site.post("/v1/chat/completions", json=QUESTION, headers={"origin": FRIEND})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == FRIEND
    assert "access-control-allow-credentials" not in response.headers
