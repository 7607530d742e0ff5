"""Random requests to the gateway: each gets an answer, or an error that is the client's.

`FUZZ_EXAMPLES` sets their number; CONTRIBUTING.md has the command of a long run.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from app.chat.apis.table import API_OF_PATH
from tests.doubles.model_server import HELLO, ReceivedRequest, model_server
from tests.unit.chat.test_process import memory_mib, process

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "600"))
MOST_GROWTH_MIB = 64
PATHS = sorted(API_OF_PATH)
_CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
VALID: dict[str, dict[str, Any]] = {
    "/v1/completions": {"prompt": "Hi"},
    "/v1/embeddings": {"input": "Hi"},
    "/v1/rerank": {"query": "Hi", "documents": ["Hi"]},
    "/v1/responses": {"input": "Hi"},
    "/v1/responses/input_tokens": {"input": "Hi"},
    "/infill": {"input_prefix": "Hi"},
    "/tokenize": {"content": "Hi"},
    "/detokenize": {"tokens": [1]},
}
# The streams of other APIs, from which the gateway also makes documents.
STREAMS = {
    "infill": b'data: {"content": "Hi", "stop": true}\n\n',
    "messages": b"event: message_start\n"
    b'data: {"type": "message_start", "message": {"role": "assistant"}}\n\n'
    b'event: message_stop\ndata: {"type": "message_stop"}\n\n',
    "responses": b"event: response.completed\n"
    b'data: {"type": "response.completed", "response": {"id": "r"}}\n\n',
}

_numbers = (
    some.integers()
    | some.floats(allow_nan=True)
    | some.sampled_from([2**31, -(2**31), 2**64, 10**400, 0, -1])
)
_texts = some.text(max_size=20) | some.sampled_from(
    ["(" * 20_000, 'root ::= "a"', "root ::= " + "(" * 60, "\ud800", "x" * 100_000, "auto"]
)
_values = some.recursive(
    some.none() | some.booleans() | _numbers | _texts,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if depth % 2 else {"items": value}
    return value


_any_value = _values | some.integers(1, 300).map(_nested) | some.just(["a"] * 10_000)


@some.composite
def requests(draw: some.DrawFn) -> tuple[str, bytes, dict[str, str]]:
    """A path, a body and headers: a valid request with some fields changed, or damaged bytes."""
    path = draw(some.sampled_from(PATHS))
    names = some.sampled_from(sorted(API_OF_PATH[path].schema.known)) | some.text(max_size=8)
    changes = draw(some.dictionaries(names, _any_value, max_size=3))
    body = {"model": "m", "stream": draw(some.booleans()), **VALID.get(path, _CHAT), **changes}
    raw = json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    damage = draw(some.sampled_from(["none"] * 6 + ["cut", "twice", "bytes", "gzip", "bad gzip"]))
    if damage == "cut":
        raw = raw[: draw(some.integers(0, len(raw)))]
    elif damage == "twice":
        raw = b'{"model": "m", ' + raw[1:]
    elif damage == "bytes":
        at = draw(some.integers(0, len(raw)))
        raw = raw[:at] + draw(some.binary(min_size=1, max_size=4)) + raw[at:]
    elif damage == "gzip":
        raw, headers["content-encoding"] = gzip.compress(raw), "gzip"
    elif damage == "bad gzip":
        headers["content-encoding"] = draw(some.sampled_from(["gzip", "deflate", "br"]))
    return path, raw, headers


async def answer(received: ReceivedRequest) -> web.StreamResponse:
    """The shortest answer in the form of each API."""
    if not received.body.get("stream"):
        return web.json_response({"object": "list", "data": []})
    response = await received.stream()
    name = received.path.removeprefix("/v1").split("/")[1]
    await response.write(STREAMS.get(name, b"".join(HELLO)))
    return response


class Fuzzed:
    """A gateway process in front of a model server, with a loop of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._end = asyncio.Event()
        self.url = ""
        self.child: asyncio.subprocess.Process | None = None

    def start(self) -> None:
        self._thread.start()
        started = threading.Event()
        self._serving = asyncio.run_coroutine_threadsafe(self._serve(started), self._loop)
        while not started.wait(0.1):
            if self._serving.done():
                self._serving.result()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._serving.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        async with model_server() as server:
            server.behaviour = answer
            tasks = ["chat", "completion", "embedding", "rerank"]
            model = {"id": "m", "slots": 4, "context": 4096, "tasks": tasks}
            models = [{**model, "replicas": [server.url]}]
            async with process(self._folder, slots=4, models=models) as (self.child, self.url):
                started.set()
                await self._end.wait()

    @property
    def memory(self) -> float:
        assert self.child is not None
        assert self.child.returncode is None, "the gateway ended"
        return memory_mib(self.child.pid)


@pytest.fixture
def fuzzed(tmp_path: Path) -> Iterator[Fuzzed]:
    one = Fuzzed(tmp_path)
    one.start()
    try:
        yield one
    finally:
        one.stop()


def check(response: httpx.Response, sent: bytes) -> None:
    """No error of a server, and the form of the API in each error of the client."""
    assert response.status_code < 500, (response.text, sent[:500])
    assert '"upstream_' not in response.text, (response.text, sent[:500])
    if response.status_code >= 400:
        error = response.json()["error"]
        assert error["message"]
        assert error["type"]
        assert error["code"]


def test_no_request_ends_the_gateway_or_gets_an_error_of_a_server(fuzzed: Fuzzed) -> None:
    with httpx.Client(base_url=fuzzed.url, timeout=60, trust_env=False) as client:

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize="FUZZ_EXAMPLES" not in os.environ,
            suppress_health_check=list(HealthCheck),
        )
        @given(requests())
        def send(request: tuple[str, bytes, dict[str, str]]) -> None:
            path, body, headers = request
            check(client.post(path, content=body, headers=headers), body)

        send()
        before = fuzzed.memory
        send()
        assert fuzzed.memory - before < MOST_GROWTH_MIB
