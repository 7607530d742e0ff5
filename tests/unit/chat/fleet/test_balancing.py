"""The choice of a replica: free slots, prompt cache, order of the queue, circuit breaker."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from app.chat.apis.openai_text import CHAT_COMPLETIONS, COMPLETIONS
from app.chat.apis.vectors import EMBEDDINGS
from app.chat.fleet.circuit_breaker import BreakerState, CircuitBreaker
from app.chat.fleet.fleet import Fleet
from app.chat.fleet.pool import ModelCard, ModelPool, Ticket
from app.chat.fleet.prefix_affinity import PrefixTable, fingerprints
from app.chat.fleet.replica import Replica
from app.chat.fleet.server import Health, Server, State
from app.chat.openai.errors import ApiError
from app.chat.settings import Breaker, Placeholder


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """A pool of replicas, with a clock that the test sets."""

    replicas: int = 2
    slots: int = 2
    queue: int = 8
    name: str = "m"
    external: bool = False
    placeholder: Placeholder | None = None
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        card = ModelCard(self.name, "", None, self.placeholder, self.external)
        replicas = [
            Replica(
                self.name,
                f"{self.name}-{number}",
                Server(
                    api_url="http://x/v1",
                    health_url="http://x/health",
                    slots=self.slots,
                    health=Health(State.READY),
                ),
                CircuitBreaker(Breaker(), self.clock),
            )
            for number in range(self.replicas)
        ]
        self.pool = ModelPool(card, replicas, self.queue, self.clock)

    def ask(self, *messages: str) -> Ticket:
        return self.pool.enter(talk(*messages))


def chat(*messages: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": message} for message in messages]}


def talk(*messages: str) -> list[int]:
    return list(fingerprints(CHAT_COMPLETIONS.prompt(chat(*messages))))


async def test_requests_spread_over_the_least_busy_replicas() -> None:
    world = World(replicas=3)
    tickets = [world.ask(f"question {number}") for number in range(6)]
    assert [replica.in_flight for replica in world.pool.replicas] == [2, 2, 2]
    assert all(ticket.granted.done() for ticket in tickets)


async def test_the_next_turn_of_a_conversation_goes_to_the_same_replica() -> None:
    world = World(replicas=3)
    first = world.ask("system", "hello")
    home = first.replica
    first.leave()
    for number in range(5):
        world.ask(f"other {number}").leave()
    again = world.ask("system", "hello", "answer", "and then?")
    assert again.replica is home


async def test_a_free_slot_elsewhere_is_better_than_waiting_for_the_same_replica() -> None:
    world = World(replicas=2, slots=1)
    first = world.ask("hello")
    second = world.ask("hello", "answer", "and then?")
    assert second.granted.done()
    assert second.replica is not first.replica


async def test_a_freed_slot_goes_to_the_first_in_the_queue() -> None:
    world = World(replicas=1, slots=1)
    running = world.ask("a")
    waiting = [world.ask("b"), world.ask("c")]
    assert [ticket.position for ticket in waiting] == [1, 2]
    running.leave()
    assert waiting[0].granted.done()
    assert [ticket.position for ticket in waiting] == [0, 1]


async def test_leaving_twice_frees_one_slot() -> None:
    world = World(replicas=1, slots=1)
    ticket = world.ask("a")
    ticket.leave()
    ticket.leave()
    assert world.pool.busy == 0


async def test_a_retry_goes_to_the_front_of_the_queue_and_to_another_replica() -> None:
    world = World(replicas=2, slots=1)
    one, two = world.ask("a"), world.ask("b")
    waiting = world.ask("c")
    failed_at = one.replica
    assert failed_at is not None
    one.leave()  # "c" gets this slot
    assert waiting.replica is failed_at
    retry = world.pool.enter(talk("a"), tried=frozenset({failed_at}))
    assert retry.position == 1
    waiting.leave()
    assert not retry.granted.done(), "it does not get the replica where it failed"
    two.leave()
    assert retry.replica is not failed_at
    assert retry.granted.done()


async def test_a_retry_is_accepted_although_the_queue_is_full() -> None:
    world = World(replicas=2, slots=1, queue=0)
    one, _ = world.ask("a"), world.ask("b")
    failed_at = one.replica
    assert failed_at is not None
    with pytest.raises(ApiError, match="busy"):
        world.ask("c")
    retry = world.pool.enter(talk("a"), tried=frozenset({failed_at}))
    assert retry.position == 1


async def test_retry_after_grows_with_the_queue_and_is_limited() -> None:
    world = World(replicas=1, slots=1, queue=2)
    for _ in range(20):
        ticket = world.ask("x")
        world.clock.now += 3
        ticket.leave()
    for name in ("a", "b", "c"):
        world.ask(name)
    with pytest.raises(ApiError) as caught:
        world.ask("d")
    assert caught.value.status == 429
    assert 9 <= (caught.value.retry_after or 0) <= 60


async def test_with_every_replica_down_a_request_is_refused_with_the_reason() -> None:
    world = World()
    for replica in world.pool.replicas:
        replica.server.health = Health(State.DOWN, "connection refused")
    with pytest.raises(ApiError, match="connection refused") as caught:
        world.ask("a")
    assert caught.value.status == 503


async def test_a_replica_that_recovers_gets_the_waiting_requests() -> None:
    world = World(replicas=2, slots=1)
    broken = world.pool.replicas[0]
    broken.server.health = Health(State.LOADING)
    world.ask("a")
    waiting = world.ask("b")
    assert not waiting.granted.done()
    broken.server.health = Health(State.READY)
    world.pool.dispatch()
    assert waiting.replica is broken


async def test_a_draining_replica_gets_no_requests_while_another_one_is_available() -> None:
    world = World(replicas=2, slots=1)
    leaving, staying = world.pool.replicas
    known = world.ask("hello")
    home = known.replica
    known.leave()
    leaving.server.draining = True
    first = world.ask("hello", "answer", "and then?")
    assert home is leaving
    assert first.replica is staying
    waiting = world.ask("another")
    assert not waiting.granted.done(), "it waits for the replica that is not draining"
    staying.server.health = Health(State.DOWN)
    world.pool.dispatch()
    assert waiting.replica is leaving, "no other replica is available"


def test_a_breaker_opens_allows_one_trial_and_doubles_its_cool_down() -> None:
    clock = Clock()
    breaker = CircuitBreaker(Breaker(failures=2, cool_down_seconds=10), clock)

    def state() -> BreakerState:
        return breaker.state

    breaker.failed()
    assert state() is BreakerState.CLOSED
    breaker.failed()
    assert state() is BreakerState.OPEN
    assert not breaker.allows_request
    clock.now = 10
    assert state() is BreakerState.HALF_OPEN
    assert breaker.allows_request
    breaker.request_started()
    assert not breaker.allows_request, "one trial at a time"
    breaker.failed()
    clock.now = 29
    assert state() is BreakerState.OPEN, "the second cool-down lasts twice as long"
    clock.now = 30
    breaker.request_started()
    breaker.succeeded()
    assert state() is BreakerState.CLOSED


def test_after_a_trial_without_result_another_one_is_allowed() -> None:
    clock = Clock()
    breaker = CircuitBreaker(Breaker(failures=1), clock)
    breaker.failed()
    clock.now = 100
    breaker.request_started()
    breaker.no_result()
    assert breaker.allows_request


def test_auto_prefers_ready_real_models_then_the_least_loaded_and_no_external_ones() -> None:
    busy, idle = World(name="busy"), World(name="idle")
    far = World(name="far", external=True)
    placeholder = World(name="placeholder", placeholder=Placeholder(model="tiny", reason="x"))
    down = World(name="down")
    for replica in down.pool.replicas:
        replica.server.health = Health(State.DOWN)
    busy.pool.replicas[0].server.in_use = 1
    worlds = [down, far, placeholder, busy, idle]
    fleet = Fleet([world.pool for world in worlds])

    def choose(*allowed: str) -> str:
        pool, _ = fleet.route("auto", CHAT_COMPLETIONS, {}, frozenset(allowed) if allowed else None)
        return pool.card.id

    assert choose() == "idle"
    assert choose("busy", "far", "placeholder", "down") == "busy"
    assert choose("far", "placeholder", "down") == "placeholder"
    assert choose("far", "down") == "down"
    with pytest.raises(ApiError, match="no local model") as refused:
        choose("far")
    assert refused.value.code == "no_model"


async def test_auto_stays_with_the_model_of_the_conversation() -> None:
    one, two = World(name="one"), World(name="two")
    two.ask("hello").leave()
    two.pool.replicas[0].server.in_use = 1
    fleet = Fleet([one.pool, two.pool])
    known, _ = fleet.route("auto", CHAT_COMPLETIONS, chat("hello", "answer", "more"))
    assert known.card.id == "two"
    new, _ = fleet.route("auto", CHAT_COMPLETIONS, chat("something else"))
    assert new.card.id == "one"


def test_fingerprints_are_equal_for_equal_prefixes_only() -> None:
    one, two = talk("a", "b", "c"), talk("a", "b", "x")
    assert one[:2] == two[:2]
    assert one[2] != two[2]
    long = fingerprints(COMPLETIONS.prompt({"prompt": "x" * 2000}))
    longer = fingerprints(COMPLETIONS.prompt({"prompt": "x" * 2000 + "y" * 600}))
    assert len(long) >= 3
    assert list(longer[:3]) == list(long[:3])
    assert not fingerprints(EMBEDDINGS.prompt({"input": "no prompt"}))


def test_the_prefix_table_drops_the_oldest_entries() -> None:
    table: PrefixTable[str] = PrefixTable(size=2)
    for name in ("a", "b", "c"):
        table.record(talk(name), name)
    assert table.find(talk("a")) is None
    assert table.find(talk("c", "more")) == "c"
