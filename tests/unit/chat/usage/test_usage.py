"""The usage of each key: at `/v1/usage`, after a restart, and as the operator's table."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.chat.usage.__main__ import main
from app.chat.usage.recorder import utc_day
from tests.doubles.model_server import ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.access.test_admission import QUESTION, keys_of
from tests.unit.chat.conftest import client_of

CHAT = "/v1/chat/completions"


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_a_key_reads_its_own_usage_by_day_and_model(server: ModelServer) -> None:
    keys, secrets = keys_of("alice", "bob")
    async with running(settings(server.url), secrets) as url, client_of(url) as client:
        for _ in range(2):
            answer = await client.post(CHAT, json=QUESTION, headers=bearer(keys["alice"]))
        used = answer.json()["usage"]
        await client.post(CHAT, json={**QUESTION, "model": "x"}, headers=bearer(keys["alice"]))
        report = (await client.get("/v1/usage", headers=bearer(keys["alice"]))).json()
        assert report["key"] == "alice"
        (row,) = report["data"]
        assert (row["day"], row["model"], row["requests"]) == (utc_day(), "m", 2)
        assert row["prompt_tokens"] == 2 * used["prompt_tokens"]
        assert row["completion_tokens"] == 2 * used["completion_tokens"]
        assert row["seconds"] > 0
        others = (await client.get("/v1/usage", headers=bearer(keys["bob"]))).json()
        assert others["data"] == []
        assert (await client.get("/v1/usage")).status_code == 401


@pytest.mark.parametrize(
    "query", ["from=x", "from=2030-01-02&to=2030-01-01", "to=0001-01-01", "from=2030-13-01"]
)
async def test_impossible_days_are_refused(server: ModelServer, query: str) -> None:
    async with running(settings(server.url)) as url, client_of(url) as client:
        refused = await client.get(f"/v1/usage?{query}")
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "invalid_request"


async def test_usage_and_the_limit_of_a_day_survive_a_restart(
    server: ModelServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "usage.sqlite"
    keys, secrets = keys_of("alice", tokens_per_day=40)
    body = {**QUESTION, "max_tokens": 5}
    for statuses in ([200], [200, 429, 429]):
        async with (
            running(settings(server.url), secrets, usage_file=path) as url,
            client_of(url, **bearer(keys["alice"])) as client,
        ):
            assert [(await client.post(CHAT, json=body)).status_code for _ in statuses] == statuses
    monkeypatch.setenv("USAGE_FILE", str(path))
    assert main([]) == 0
    title, row, total = capsys.readouterr().out.splitlines()
    assert title.split() == [
        "key",
        "model",
        "requests",
        "prompt",
        "tokens",
        "completion",
        "tokens",
        "seconds",
    ]
    assert row.split()[:3] == ["alice", "m", "2"]
    assert total.split()[:2] == ["total", "2"]
    assert main(["--by", "day", "--key", "bob"]) == 0
    assert "alice" not in capsys.readouterr().out


async def test_a_usage_file_that_cannot_be_written_fails_no_request(
    server: ModelServer, tmp_path: Path
) -> None:
    keys, secrets = keys_of("alice")
    folder = tmp_path / "usage.sqlite"
    folder.mkdir()
    async with (
        running(settings(server.url), secrets, usage_file=folder) as url,
        client_of(url, **bearer(keys["alice"])) as client,
    ):
        assert (await client.post(CHAT, json=QUESTION)).status_code == 200
        assert "gateway_usage_written 0.0" in (await client.get("/metrics")).text
        ready = await client.get("/ready")
        assert ready.status_code == 200
        assert ready.json()["warning"] == "usage is not written: unable to open database file"
        refused = await client.get("/v1/usage")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "usage_unavailable")


def test_the_table_without_a_file_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("USAGE_FILE", str(tmp_path / "usage.sqlite"))
    assert main([]) == 1
    assert "no usage was written yet" in capsys.readouterr().err
    assert main(["--from", "yesterday"]) == 2
