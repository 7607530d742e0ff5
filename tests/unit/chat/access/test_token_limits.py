"""Limits of tokens per minute and day, expired keys, and the headers about limits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.chat.access.caller import Caller, duration
from app.chat.openai.errors import ApiError
from app.chat.settings import CallerLimits
from tests.doubles.model_server import HeldResponses, ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.access.test_admission import QUESTION, keys_of
from tests.unit.chat.conftest import client_of

CHAT = "/v1/chat/completions"


@asynccontextmanager
async def limited(
    server: ModelServer, slots: int = 2, **limits: object
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key that has these limits."""
    keys, secrets = keys_of("alice", **limits)
    async with (
        running(settings(server.url, slots=slots), secrets) as url,
        client_of(url, authorization=f"Bearer {keys['alice']}") as client,
    ):
        yield client


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def caller(used_today: int | None = 0, **limits: int) -> tuple[Caller, Clock]:
    clock = Clock()
    values = CallerLimits.model_validate(limits)
    return Caller("alice", values, clock, lambda name: used_today), clock


async def test_an_expired_key_is_refused_with_its_own_code(server: ModelServer) -> None:
    async with limited(server, expires=datetime.now(UTC) - timedelta(seconds=1)) as client:
        refused = await client.post(CHAT, json=QUESTION)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "expired_api_key"
        assert (await client.get("/v1/models")).status_code == 401


async def test_responses_have_the_limits_of_the_key_as_headers(server: ModelServer) -> None:
    async with limited(server, rpm=2, tokens_per_minute=5000) as client:
        first = await client.post(CHAT, json=QUESTION)
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        assert first.headers["x-ratelimit-limit-tokens"] == "5000"
        held = 5000 - int(first.headers["x-ratelimit-remaining-tokens"])
        assert 1024 <= held <= 1100, "the estimate of the running request"
        listed = await client.get("/v1/models")
        assert int(listed.headers["x-ratelimit-remaining-tokens"]) > 4900, "settled"
        await client.post(CHAT, json=QUESTION)
        refused = await client.post(CHAT, json=QUESTION)
        assert refused.status_code == 429
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        pattern = r"\d+ms|\d+(\.\d+)?s|\d+m\d+s"
        assert re.fullmatch(pattern, refused.headers["x-ratelimit-reset-requests"])


async def test_parallel_requests_cannot_use_more_tokens_than_the_minute_has(
    server: ModelServer,
) -> None:
    server.behaviour = held = HeldResponses()
    async with limited(server, slots=8, tokens_per_minute=1000) as client:
        body = {**QUESTION, "max_tokens": 400}
        asked = [asyncio.create_task(client.post(CHAT, json=body)) for _ in range(6)]
        refused: set[asyncio.Task[object]] = set()
        while len(refused) < 4:
            refused, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED, timeout=10)
            refused = {task for task in asked if task.done()}
        held.released.set()
        statuses = sorted([(await task).status_code for task in asked])
        assert statuses == [200, 200, 429, 429, 429, 429]


async def test_a_used_up_day_ends_until_midnight(server: ModelServer) -> None:
    async with limited(server, tokens_per_day=30) as client:
        body = {**QUESTION, "max_tokens": 5}
        responses = [await client.post(CHAT, json=body) for _ in range(6)]
        refused = responses[-1]
        assert responses[0].status_code == 200
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "insufficient_quota"
        assert 0 < int(refused.headers["retry-after"]) <= 86400


def test_a_request_over_the_limit_needs_all_of_an_unused_minute() -> None:
    alice, clock = caller(tokens_per_minute=600)
    hold = alice.hold(10_000, 10_000)
    with pytest.raises(ApiError, match="600 tokens per minute"):
        alice.hold(1, 0)
    hold.settle(1200)
    clock.now = 59
    with pytest.raises(ApiError) as caught:
        alice.hold(1, 0)
    assert caught.value.retry_after is not None
    clock.now = 60 + caught.value.retry_after
    alice.hold(1, 0)


def test_a_failed_request_gives_its_tokens_back() -> None:
    alice, _ = caller(tokens_per_minute=100, tokens_per_day=100)
    for _ in range(20):
        alice.hold(50, 50).settle(0)


def test_running_requests_count_towards_the_day() -> None:
    alice, _ = caller(used_today=50, tokens_per_day=100)
    hold = alice.hold(20, 20)
    with pytest.raises(ApiError, match="used 50"):
        alice.hold(5, 10)
    hold.settle(0)
    alice.hold(5, 10)


def test_without_the_numbers_of_the_day_a_limited_key_is_refused() -> None:
    limited, _ = caller(used_today=None, tokens_per_day=100)
    with pytest.raises(ApiError) as caught, limited.admitted():
        pass
    assert (caught.value.status, caught.value.code) == (503, "usage_unavailable")
    unlimited, _ = caller(used_today=None)
    with unlimited.admitted():
        unlimited.hold(5, 5).settle(7)


def test_changed_limits_keep_what_was_used() -> None:
    alice, _ = caller(rpm=2, tokens_per_minute=1000)
    for _ in range(2):
        with alice.admitted():
            pass
    alice.hold(500, 0)
    alice.update(CallerLimits(rpm=3, tokens_per_minute=600))
    with alice.admitted():
        pass
    assert alice.rate_limits()["x-ratelimit-remaining-requests"] == "0"
    assert alice.rate_limits()["x-ratelimit-remaining-tokens"] == "100"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.0201, "21ms"), (1.5, "1.5s"), (360, "6m0s"), (7384, "2h3m4s")],
)
def test_durations_have_the_form_of_openais_headers(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def _chat(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": list(parts)}], "max_tokens": 100}


_DATA = "A" * 400_000
_PARTS: dict[str, dict[str, Any]] = {
    "image": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_DATA}"}},
    "image elsewhere": {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    "WAV": {"type": "input_audio", "input_audio": {"data": _DATA, "format": "wav"}},
    "MP3": {"type": "input_audio", "input_audio": {"data": _DATA, "format": "mp3"}},
}


@pytest.mark.parametrize("part", _PARTS.values(), ids=_PARTS.keys())
async def test_images_and_recordings_are_not_counted_as_texts(
    server: ModelServer, part: dict[str, Any]
) -> None:
    server.behaviour = held = HeldResponses()
    async with limited(server, slots=2, tokens_per_minute=5000) as client:
        first = asyncio.create_task(client.post(CHAT, json=_chat(part)))
        await server.wait_for(1)
        listed = await client.get("/v1/models")
        held_tokens = 5000 - int(listed.headers["x-ratelimit-remaining-tokens"])
        held.released.set()
        assert (await first).status_code == 200
    assert 300 < held_tokens < 2500
