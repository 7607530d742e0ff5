"""Rings of buckets: their content, their age, and a clock that changes."""

from __future__ import annotations

import pytest

from app.monitor.decisions.states import State
from app.monitor.store.ring import DAY, DAYS, QUARTER, QUARTERS, RANK, Ring

NOW = 1_700_000_000.0
OK, DOWN = RANK[State.OK], RANK[State.DOWN]


def test_a_bucket_has_share_worst_state_and_mean_latency() -> None:
    ring = Ring(QUARTER, QUARTERS)
    for latency in (0.1, 0.3):
        ring.add(NOW, seconds=30, good=True, rank=OK, latency=latency)
    ring.add(NOW, seconds=30, good=False, rank=DOWN, latency=9.0)
    last = list(ring.buckets(NOW))[-1]
    assert (last.watched, last.good, last.worst) == (90, 60, State.DOWN)
    assert last.latency == pytest.approx(0.2)
    assert ring.uptime(NOW) == pytest.approx(2 / 3)


def test_older_buckets_are_dropped_and_gaps_stay_empty() -> None:
    ring = Ring(DAY, DAYS)
    for day in (0, 1, 5, 92):
        ring.add(NOW + day * DAY, seconds=1, good=True, rank=OK, latency=None)
    buckets = list(ring.buckets(NOW + 92 * DAY))
    watched = [index for index, bucket in enumerate(buckets) if bucket.watched]
    assert len(buckets) == DAYS
    assert watched == [2, 89], "day 5 and day 92"


def test_a_clock_that_steps_back_loses_nothing() -> None:
    ring = Ring(QUARTER, QUARTERS)
    ring.add(NOW, seconds=1, good=True, rank=OK, latency=None)
    ring.add(NOW - 10_000, seconds=1, good=True, rank=OK, latency=None)
    assert sum(bucket.watched for bucket in ring.buckets(NOW)) == 2


def test_packed_content_of_another_size_is_ignored() -> None:
    ring = Ring(DAY, DAYS)
    ring.unpack(5, Ring(DAY, 7).pack()[1])
    assert ring.uptime(NOW) is None
