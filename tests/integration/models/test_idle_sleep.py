"""A model that gives its memory back when it is idle, and the monitor's check of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from docker.models.containers import Container

from app.monitor.checks.http_client import HttpClient
from app.monitor.checks.prober import Prober
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import Service, Thresholds
from tests.integration.inference import Inference, address, answer, wait_until_healthy
from tests.integration.models.conftest import SMOLLM2
from tests.integration.models.test_tasks import chat, text_of


@pytest.fixture(scope="module")
def sleeper(containers: Inference) -> Container:
    return wait_until_healthy(containers.start(SMOLLM2, context=8192, slots=2, idle_sleep=3))


def is_asleep(container: Container) -> bool:
    asleep: bool = answer(container, "/props")["is_sleeping"]
    return asleep


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends


def times_woken(container: Container) -> int:
    log: bytes = container.logs()
    return log.count(b"exiting sleeping state")


def memory(container: Container) -> int:
    """What its processes use, in bytes. The weights are a mapped file, which counts as cache."""
    # One sample: the engine would wait for a second one, and the model fall asleep meanwhile.
    stats = container.stats(stream=False, one_shot=True)
    assert isinstance(stats, dict)
    found = stats["memory_stats"]["stats"]
    # Control groups of version 2 and 1.
    return int(found["anon"] if "anon" in found else found["total_rss"])


def check(container: Container, checks: int) -> list[Verdict]:
    """The verdicts of the monitor, which checks ten minutes apart."""
    data = {"name": "m", "kind": "inference", "url": address(container), "sleeps": True}

    async def run() -> list[Verdict]:
        client = HttpClient.create()
        try:
            prober = Prober(client, Thresholds(canary_every=60))
            service = Service.model_validate(data)
            return [await prober.check(service, 600.0 * number) for number in range(checks)]
        finally:
            await client.close()

    return asyncio.run(run())


def test_it_sleeps_gives_its_memory_back_and_wakes_for_a_request(sleeper: Container) -> None:
    before = text_of(chat(address(sleeper)))
    awake = memory(sleeper)
    until(lambda: is_asleep(sleeper))
    assert memory(sleeper) < awake / 2
    assert text_of(chat(address(sleeper))) == before


def test_the_checks_of_the_monitor_leave_it_asleep(sleeper: Container) -> None:
    until(lambda: is_asleep(sleeper))
    woken = times_woken(sleeper)
    verdicts = check(sleeper, checks=3)
    assert {verdict.state for verdict in verdicts} == {State.OK}
    assert {verdict.reason for verdict in verdicts} == {"asleep until the next request"}
    assert is_asleep(sleeper)
    assert times_woken(sleeper) == woken


def test_it_is_stopped_without_waking(sleeper: Container) -> None:
    until(lambda: is_asleep(sleeper))
    woken = times_woken(sleeper)
    sleeper.stop(timeout=30)
    sleeper.reload()
    assert sleeper.attrs["State"]["ExitCode"] == 0
    assert times_woken(sleeper) == woken
