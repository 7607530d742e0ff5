"""The page's files: their compressed forms, their caching and their types."""

from __future__ import annotations

import gzip
from pathlib import Path

import httpx
import pytest

from app.chat.settings import GatewaySettings
from tests.doubles.running_gateway import running

SCRIPT = b"// a script\n" * 200


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<p>page</p>")
    (tmp_path / "assets/app.js").write_bytes(SCRIPT)
    (tmp_path / "assets/app.js.gz").write_bytes(gzip.compress(SCRIPT))
    # Only a browser decodes it.
    (tmp_path / "assets/app.js.br").write_bytes(b"brotli")
    return tmp_path


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("GZIP", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("gzip; q=0.0", None),
        ("identity", None),
        ("", None),
    ],
)
async def test_a_file_is_sent_in_a_form_that_the_client_accepts(
    root: Path, accepted: str, coding: str | None
) -> None:
    async with (
        running(GatewaySettings.model_validate({"models": []}), web_root=root) as url,
        httpx.AsyncClient(base_url=url, headers={"Accept-Encoding": accepted}) as client,
        client.stream("GET", "/assets/app.js") as answer,
    ):
        body = b"".join([part async for part in answer.aiter_raw()])
        headers = answer.headers
    sent = {"br": b"brotli", "gzip": (root / "assets/app.js.gz").read_bytes(), None: SCRIPT}
    assert body == sent[coding]
    assert headers.get("content-encoding") == coding
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    assert headers["vary"] == "Accept-Encoding"
    assert "immutable" in headers["cache-control"]


async def test_a_file_is_not_sent_again_in_the_same_form(root: Path) -> None:
    async with (
        running(GatewaySettings.model_validate({"models": []}), web_root=root) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        first = await client.get("/assets/app.js", headers={"Accept-Encoding": "gzip"})
        same = {"If-None-Match": first.headers["etag"]}
        again = await client.get("/assets/app.js", headers={"Accept-Encoding": "gzip", **same})
        other = await client.get("/assets/app.js", headers={"Accept-Encoding": "identity", **same})
        page = await client.get("/", headers={"Accept-Encoding": "gzip"})
    assert (again.status_code, other.status_code) == (304, 200)
    assert (page.text, page.headers["cache-control"]) == ("<p>page</p>", "no-cache")


async def test_the_frame_of_diagrams_has_no_origin_when_it_is_opened_alone(root: Path) -> None:
    (root / "diagrams").mkdir()
    (root / "diagrams/frame.html").write_text("<p>frame</p>")
    async with (
        running(GatewaySettings.model_validate({"models": []}), web_root=root) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        headers = (await client.get("/diagrams/frame.html")).headers
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "sandbox allow-scripts"} <= set(policy)
    # Its own script is of another origin then.
    assert headers["cross-origin-resource-policy"] == "cross-origin"
