"""The gateway as a process: start, graceful shutdown, overload."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.doubles.model_server import HELLO, HeldResponses, ModelServer, ReceivedRequest
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**QUESTION, "stream": True}


# The program as `python3 -m app.chat` runs it, with another time for the handover.
PROGRAM = (
    "import sys; from app.chat import __main__ as m; m.HANDOVER_SECONDS = {}; sys.exit(m.main())"
)


async def start(
    config: Path, port: int = 0, handover_seconds: float = 0.4
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM.format(handover_seconds),
        cwd=ROOT,
        env={
            **os.environ,
            "GATEWAY_CONFIG": str(config),
            "SECRETS_DIR": str(config.parent / "secrets"),
            "HOST": "127.0.0.1",
            "PORT": str(port),
        },
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )


@contextlib.asynccontextmanager
async def process(
    folder: Path, *replicas: str, slots: int, handover_seconds: float = 0.4, **more: object
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A running gateway process and its URL; its log is read, so that it never blocks."""
    config = folder / "gateway.json"
    models = [{"id": "m", "slots": slots, "replicas": replicas}]
    config.write_text(json.dumps({"models": models, **more}))
    port = free_port()
    child = await start(config, port, handover_seconds)
    assert child.stdout is not None
    while b"running on" not in (await child.stdout.readline()):
        assert child.returncode is None
    reading = asyncio.create_task(child.stdout.read())
    try:
        yield child, f"http://127.0.0.1:{port}"
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
        await reading


def memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


async def occupied(session: aiohttp.ClientSession) -> int:
    async with session.get("/status") as response:
        model = (await response.json())["models"][0]
    return int(model["busy"]) + int(model["queue"])


async def test_ten_times_more_requests_than_fit_are_each_answered_or_refused(
    tmp_path: Path, server: ModelServer, other: ModelServer
) -> None:
    async def work(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        for piece in HELLO:
            await response.write(piece)
            await asyncio.sleep(0.01)
        return response

    server.behaviour = other.behaviour = work
    # 20 slots and a queue of 80: 100 requests fit. The model servers share an event loop with a
    # thousand clients, so their health checks need a long timeout.
    more: dict[str, Any] = {
        "limits": {"queue": 80, "open_requests": 2048},
        "health": {"timeout": 60},
    }
    async with (
        process(tmp_path, server.url, other.url, slots=10, **more) as (child, url),
        aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        while (await session.get("/ready")).status != 200:
            pass
        before = memory_mib(child.pid)

        async def ask(number: int) -> str:
            body = STREAM if number % 2 else QUESTION
            async with session.post("/v1/chat/completions", json=body) as response:
                content = await response.read()
                if response.status == 429:
                    assert json.loads(content)["error"]["code"] == "queue_full"
                    assert int(response.headers["retry-after"]) >= 1
                    return "refused"
                assert response.status == 200, content
                if number % 2:
                    assert content.endswith(b"data: [DONE]\n\n"), content
                    assert b'"error"' not in content
                else:
                    message = json.loads(content)["choices"][0]["message"]
                    assert message["content"] == "Hello"
                return "answered"

        outcomes = Counter(await asyncio.gather(*(ask(number) for number in range(1000))))
        assert outcomes["answered"] + outcomes["refused"] == 1000
        assert outcomes["answered"] >= 100, "every request that fits is answered"
        assert outcomes["refused"] > 0
        assert memory_mib(child.pid) < before + 100
        # The last slots are freed shortly after their responses, but all of them must be.
        while await occupied(session):
            pass


async def test_running_requests_finish_after_sigterm(tmp_path: Path, server: ModelServer) -> None:
    server.behaviour = held = HeldResponses()
    async with (
        process(tmp_path, server.url, slots=1) as (child, url),
        aiohttp.ClientSession(url) as session,
    ):
        request = asyncio.create_task(session.post("/v1/chat/completions", json=STREAM))
        await server.wait_for(1)
        child.send_signal(signal.SIGTERM)
        held.released.set()
        async with await request as response:
            assert (await response.read()).endswith(b"data: [DONE]\n\n")
        await asyncio.wait_for(child.wait(), 10)


@pytest.mark.parametrize("keeps_connections", [True, False])
async def test_no_request_is_lost_until_new_connections_are_refused(
    tmp_path: Path, server: ModelServer, keeps_connections: bool
) -> None:
    async with process(tmp_path, server.url, slots=1, handover_seconds=1.5) as (child, url):
        connector = aiohttp.TCPConnector(force_close=not keeps_connections)
        async with aiohttp.ClientSession(url, connector=connector) as session:
            answered = asyncio.Event()

            async def ask_on() -> list[str | None]:
                """The `Connection` header of every response, until the port is closed."""
                answers = []
                while True:
                    try:
                        async with session.get("/health") as response:
                            assert response.status == 200
                            answers.append(response.headers.get("connection"))
                    except aiohttp.ClientConnectorError:
                        return answers
                    answered.set()

            asking = asyncio.create_task(ask_on())
            await answered.wait()
            child.send_signal(signal.SIGTERM)
            answers = await asking
        closing = [header for header in answers if header == "close"]
        assert len(closing) > 10
        if keeps_connections:
            assert answers[-len(closing) :] == closing, "every response after SIGTERM closes"
        await asyncio.wait_for(child.wait(), 10)


async def test_a_response_that_takes_longer_than_the_drain_ends_in_an_error_event(
    tmp_path: Path, server: ModelServer
) -> None:
    async def chatter(received: ReceivedRequest) -> web.StreamResponse:
        response = await received.stream()
        while True:
            await response.write(HELLO[1])
            await asyncio.sleep(0.01)

    server.behaviour = chatter
    async with (
        process(tmp_path, server.url, slots=1, drain_seconds=1) as (child, url),
        aiohttp.ClientSession(url) as session,
        session.post("/v1/chat/completions", json=STREAM) as response,
    ):
        await response.content.readany()
        child.send_signal(signal.SIGTERM)
        content = await response.read()
        last = content.split(b"\n\n")[-2]
        error = json.loads(last.removeprefix(b"data: "))["error"]
        assert error["code"] == "gateway_stopped"
        await asyncio.wait_for(child.wait(), 20)


async def test_an_invalid_configuration_ends_the_start_with_one_line(tmp_path: Path) -> None:
    config = tmp_path / "gateway.json"
    config.write_text('{"limits": {"que": 3}}')
    child = await start(config)
    output, _ = await child.communicate()
    assert child.returncode == 2
    (line,) = output.splitlines()
    entry = json.loads(line)
    assert entry["level"] == "error"
    assert "limits.que" in entry["message"]
    assert "queue" in entry["message"]


async def test_an_invalid_key_file_ends_the_start(tmp_path: Path) -> None:
    config = tmp_path / "gateway.json"
    config.write_text("{}")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "api_keys.json").write_text('{"keys": []}')
    child = await start(config)
    output, _ = await child.communicate()
    assert child.returncode == 2
    assert b"api_keys.json" in output
