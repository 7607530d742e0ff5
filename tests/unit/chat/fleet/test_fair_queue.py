"""The shares of keys in the slots and the queue of a model."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import count

import pytest

from app.chat.fleet.fair_queue import Share
from app.chat.fleet.pool import Ticket
from app.chat.openai.errors import ApiError
from tests.unit.chat.fleet.test_balancing import World


class Load:
    """Keys that send a new request whenever fewer than `backlog` of theirs are open."""

    def __init__(self, world: World, seconds: Callable[[str, int], float]) -> None:
        self.world = world
        self.seconds = seconds
        self.busy_seconds: defaultdict[str, float] = defaultdict(float)
        self.ended: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._open: list[Ticket] = []
        self._running: list[tuple[float, int, Ticket, float]] = []
        self._numbers = count()

    def send(self, share: Share, backlog: int) -> None:
        while sum(ticket.share.owner == share.owner for ticket in self._open) < backlog:
            try:
                self._open.append(self.world.pool.enter((), share=share))
            except ApiError:
                self.refused[share.owner] += 1
                break
        self._start()

    def _start(self) -> None:
        started = {id(ticket) for *_, ticket, _ in self._running}
        for ticket in [*self._open]:
            if ticket.granted.done() and id(ticket) not in started:
                if ticket.granted.exception() is not None:
                    self._open.remove(ticket)
                    self.refused[ticket.share.owner] += 1
                    continue
                number = next(self._numbers)
                seconds = self.seconds(ticket.share.owner, number)
                ends = self.world.clock.now + seconds
                heapq.heappush(self._running, (ends, number, ticket, seconds))

    def end_one(self) -> None:
        """Move the clock to the end of the next response."""
        ends, _, ticket, seconds = heapq.heappop(self._running)
        self.world.clock.now = ends
        self._open.remove(ticket)
        ticket.leave()
        self.busy_seconds[ticket.share.owner] += seconds
        self.ended[ticket.share.owner] += 1
        self._start()


def run(load: Load, shares: list[Share], responses: int, backlog: int) -> dict[str, float]:
    """The part of the slot time that each owner got."""
    for _ in range(responses):
        for share in shares:
            load.send(share, backlog)
        load.end_one()
    total = sum(load.busy_seconds.values())
    return {share.owner: load.busy_seconds[share.owner] / total for share in shares}


@pytest.mark.parametrize("slots", [1, 3, 4])
async def test_four_keys_get_the_same_slot_time_at_ten_times_the_load(slots: int) -> None:
    world = World(replicas=1, slots=slots, queue=32)
    shares = [Share(name) for name in ("a", "b", "c", "d")]
    load = Load(world, lambda owner, number: 1.0 + (number % 7) / 7)
    parts = run(load, shares, 400, backlog=10 * slots)
    assert all(part == pytest.approx(0.25, rel=0.1) for part in parts.values()), parts


async def test_one_greedy_key_leaves_the_others_their_shares() -> None:
    world = World(replicas=2, slots=2, queue=32)
    load = Load(world, lambda owner, number: 1.0)
    others = [Share(name) for name in ("b", "c", "d")]
    for _ in range(400):
        load.send(Share("a"), 200)
        for share in others:
            load.send(share, 4)
        load.end_one()
    assert load.refused["a"] > 0
    assert not any(load.refused[share.owner] for share in others), "their queue is never full"
    for share in others:
        assert load.ended[share.owner] == pytest.approx(100, rel=0.1)


async def test_long_requests_of_one_key_cost_the_share_of_that_key() -> None:
    world = World(replicas=1, slots=2, queue=32)
    shares = [Share("long"), Share("short")]
    load = Load(world, lambda owner, number: 8.0 if owner == "long" else 1.0)
    parts = run(load, shares, 600, backlog=8)
    assert parts["long"] == pytest.approx(0.5, rel=0.1), parts


async def test_the_priority_of_a_key_multiplies_its_share() -> None:
    world = World(replicas=1, slots=2, queue=32)
    shares = [Share("normal"), Share("high", weight=3)]
    load = Load(world, lambda owner, number: 1.0)
    parts = run(load, shares, 400, backlog=12)
    assert parts["high"] == pytest.approx(0.75, rel=0.1), parts


async def test_a_key_that_paused_gets_no_credit_for_it() -> None:
    world = World(replicas=1, slots=1, queue=32)
    load = Load(world, lambda owner, number: 1.0)
    a, b = Share("a"), Share("b")
    run(load, [a, b], 4, backlog=2)
    run(load, [a], 200, backlog=4)
    load.ended.clear()
    run(load, [a, b], 20, backlog=4)
    assert load.ended["b"] == pytest.approx(10, abs=2)


async def test_a_key_after_a_very_long_response_is_served_again_soon() -> None:
    world = World(replicas=1, slots=1, queue=32)
    load = Load(world, lambda owner, number: 3000.0 if number == 0 else 1.0)
    run(load, [Share("long")], 1, backlog=1)
    load.ended.clear()
    run(load, [Share("long"), Share("other")], 300, backlog=4)
    assert load.ended["long"] > 90


async def test_a_full_queue_takes_the_request_of_a_key_that_has_fewer_there() -> None:
    world = World(replicas=1, slots=1, queue=3)
    greedy = [world.pool.enter((), share=Share("greedy")) for _ in range(4)]
    modest = world.pool.enter((), share=Share("modest"))
    assert modest.position == 1, "its key was not served lately"
    assert len(world.pool.queue) == 3
    evicted = greedy[-1].granted.exception()
    assert isinstance(evicted, ApiError)
    assert (evicted.status, evicted.code) == (429, "queue_full")
    with pytest.raises(ApiError, match="busy"):
        world.pool.enter((), share=Share("greedy"))
    assert not greedy[1].granted.done()


async def test_positions_are_those_of_the_order_of_service() -> None:
    world = World(replicas=1, slots=1, queue=16)
    running = world.pool.enter((), share=Share("a"))
    of_a = [world.pool.enter((), share=Share("a")) for _ in range(3)]
    of_b = [world.pool.enter((), share=Share("b")) for _ in range(2)]
    expected = [of_b[0], of_a[0], of_b[1], of_a[1], of_a[2]]
    assert sorted([*of_a, *of_b], key=lambda ticket: ticket.position) == expected
    served = []
    while not all(ticket.granted.done() for ticket in expected):
        world.clock.now += 10
        running.leave()
        running = next(t for t in expected if t.granted.done() and t not in served)
        served.append(running)
    assert served == expected


async def test_requests_of_many_owners_do_not_grow_the_memory() -> None:
    world = World(replicas=1, slots=2)
    for number in range(5000):
        ticket = world.pool.enter((), share=Share(f"address {number}"))
        await asyncio.wait_for(ticket.granted, 1)
        ticket.leave()
    assert world.pool.queue.owners <= 1024
