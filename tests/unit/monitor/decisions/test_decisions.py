"""The state machine: what follows from which checks, told as short histories.

A history is a list of (verdict, seconds until the next check); `Story` plays it with a clock
of its own and a restarter that answers as told.
"""

import json
import math
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from pydantic import TypeAdapter

from app.monitor.decisions.decisions import (
    Event,
    Happening,
    Memory,
    Outcome,
    Pending,
    Policy,
    RestartAnswer,
    World,
    answered,
    fine_at,
    observe,
    pause,
    remember,
    resume,
)
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import RestartSettings, Thresholds

OK = Verdict(State.OK, "ok", "HTTP 200")
BUSY = Verdict(State.BUSY, "busy", "2 of 2 slots busy")
LOADING = Verdict(State.LOADING, "loading", "loads its model")
DRAINING = Verdict(State.DRAINING, "draining", "finishes what it has begun")
REFUSED = Verdict(State.DOWN, "refused", "connection refused")
SILENT = Verdict(State.DOWN, "timeout", "no answer within 10 s", unreachable=True)
STALLED = Verdict(State.STALLED, "no_progress", "1 of 1 slots busy, no token for 121 s")
NOT_READY = Verdict(State.DOWN, "not_ready", "not ready: HTTP 503", excusable=True)
UNKNOWN = Verdict(State.UNKNOWN, "check_failed", "the check itself failed")

RULES = Policy(
    thresholds=Thresholds(fail_after=3, recover_after=2, flap_changes=6, flap_window=900),
    restarts=RestartSettings(backoff=30, limit=3, window=3600, stable_after=600),
    start_grace=60,
    restart=True,
)


@dataclass
class Story:
    """A service, its checks and its restarts."""

    policy: Policy = RULES
    outcome: Outcome = Outcome.RESTARTED
    now: float = 1_000_000.0
    memory: Memory = field(default_factory=Memory)
    events: list[Event] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)
    asked: int = 0
    failed_dependencies: tuple[str, ...] = ()
    dependencies_fine_at: float = math.inf
    paused: bool = False

    def __post_init__(self) -> None:
        self.memory = remember(self.policy.start_grace, self.now)

    def see(self, *verdicts: Verdict, every: float = 5.0) -> "Story":
        for verdict in verdicts:
            paused = self.paused or self.now < self.memory.paused_until
            world = World(self.now, paused, self.failed_dependencies, self.dependencies_fine_at)
            step = observe(self.memory, "phi", verdict, self.policy, world)
            self.memory = step.memory
            self.events += step.events
            if self.memory.pending:
                self.answer()
            self.now += every
        return self

    def answer(self) -> None:
        self.asked += 1
        if self.outcome is Outcome.RESTARTED:
            self.restarts.append(self.now)
        answer = RestartAnswer(self.outcome, started_at=self.now, wait=7)
        step = answered(self.memory, "phi", answer, self.policy, self.now, 0.5)
        self.memory = step.memory
        self.events += step.events

    def alerts(self) -> list[Happening]:
        return [event.happening for event in self.events if event.alert]

    def happenings(self) -> list[Happening]:
        return [event.happening for event in self.events]


def healthy() -> Story:
    return Story().see(OK, OK)


def broken(**changes: object) -> Story:
    story = healthy()
    for key, value in changes.items():
        setattr(story, key, value)
    return story.see(REFUSED, REFUSED, REFUSED)


@pytest.mark.parametrize(
    ("verdicts", "state", "restarts"),
    [
        ([OK], State.OK, 0),
        ([BUSY] * 200, State.BUSY, 0),
        ([OK, REFUSED, REFUSED, OK], State.OK, 0),
        ([OK, REFUSED, REFUSED, REFUSED], State.STARTING, 1),
        ([OK, STALLED, STALLED, STALLED], State.STARTING, 1),
        ([OK, SILENT, REFUSED, STALLED], State.STARTING, 1),
        ([REFUSED] * 10, State.STARTING, 0),
        ([LOADING] * 10, State.LOADING, 0),
        ([OK, DRAINING, DRAINING, DRAINING], State.DRAINING, 0),
        ([OK, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN], State.UNKNOWN, 0),
        ([OK, REFUSED, REFUSED, UNKNOWN], State.UNKNOWN, 0),
    ],
)
def test_only_confirmed_failures_lead_to_a_restart(
    verdicts: list[Verdict], state: State, restarts: int
) -> None:
    story = Story().see(*verdicts)
    assert (story.memory.state, len(story.restarts)) == (state, restarts)


def test_a_failure_is_told_when_it_is_confirmed_and_when_it_is_over() -> None:
    story = broken().see(OK)
    assert story.alerts() == [Happening.FAILED], "one good check is no recovery yet"
    story.see(OK)
    assert story.alerts() == [Happening.FAILED, Happening.RECOVERED]
    assert story.memory.state is State.OK


def test_a_service_that_never_comes_up_is_restarted_after_its_grace() -> None:
    story = Story().see(*[REFUSED] * 12)
    assert story.restarts == []
    story.see(*[REFUSED] * 3)
    assert len(story.restarts) == 1


def test_grace_ends_with_the_first_good_answer() -> None:
    story = Story().see(OK, REFUSED, REFUSED, REFUSED)
    assert len(story.restarts) == 1, "it was up, so what follows is a failure, not a slow start"


def test_a_stall_is_a_failure_within_the_grace_too() -> None:
    assert len(Story().see(STALLED, STALLED, STALLED).restarts) == 1


def test_loading_for_longer_than_it_may_is_a_failure() -> None:
    story = Story().see(*[LOADING] * 13)
    assert story.memory.state is State.LOADING
    story.see(*[LOADING] * 4)
    assert len(story.restarts) == 1
    assert "longer than the 60 s" in story.memory.last_restart_reason


@pytest.mark.parametrize(("word", "limit"), [(LOADING, 60), (DRAINING, 300)])
def test_what_crashes_over_and_over_while_it_loads_is_a_failure_in_the_end(
    word: Verdict, limit: float
) -> None:
    story = healthy()
    begun = story.now
    while not story.restarts:
        story.see(word, REFUSED, every=10)
        assert story.now - begun < limit + 60
    assert story.now - begun > limit
    assert Happening.FAILED in story.alerts()


@pytest.mark.parametrize("between", [[REFUSED], [], [OK]])
def test_a_time_of_draining_is_not_taken_from_that_of_loading(between: list[Verdict]) -> None:
    story = healthy().see(*[DRAINING] * 40).see(*between).see(*[LOADING] * 12)
    assert (story.memory.state, story.restarts) == (State.LOADING, [])


def test_serving_ends_the_time_of_loading() -> None:
    story = healthy().see(*[LOADING] * 10).see(OK).see(*[LOADING] * 10)
    assert story.memory.state is State.LOADING


def test_a_restart_is_followed_by_a_grace_and_a_growing_backoff() -> None:
    story = healthy().see(*[REFUSED] * 60)
    gaps = [
        later - earlier for earlier, later in zip(story.restarts, story.restarts[1:], strict=False)
    ]
    assert len(story.restarts) == 3
    assert gaps[0] >= 60, "the grace after the first restart"
    assert gaps[1] >= 60, "the second backoff, 60 s"


def test_the_backoff_doubles_up_to_its_maximum_with_jitter_to_both_sides() -> None:
    policy = Policy(
        Thresholds(), RestartSettings(backoff=30, backoff_max=100), start_grace=0, restart=True
    )
    for streak, chance, delay in [
        (0, 0.5, 30),
        (1, 0.5, 60),
        (2, 0.5, 100),
        (0, 0.0, 24),
        (0, 1.0, 36),
    ]:
        pending = Pending(0, 0, 0, False, "refused", "connection refused")
        memory = replace(healthy().memory, pending=pending, streak=streak)
        step = answered(memory, "phi", RestartAnswer(Outcome.RESTARTED), policy, 500.0, chance)
        assert step.memory.not_before == pytest.approx(500 + delay)


def test_after_the_cap_it_gives_up_with_one_alert_and_leaves_the_service_alone() -> None:
    story = healthy().see(*[REFUSED] * 200)
    assert len(story.restarts) == 3
    assert story.alerts() == [Happening.FAILED, Happening.GAVE_UP]
    assert "3 restarts within 60 min" in story.memory.held


def test_giving_up_ends_when_the_service_recovers() -> None:
    story = healthy().see(*[REFUSED] * 200).see(OK, OK)
    assert story.alerts()[-1] is Happening.RECOVERED
    assert story.memory.gave_up_at is None


def test_giving_up_ends_by_hand() -> None:
    story = healthy().see(*[REFUSED] * 200)
    story.memory = resume(story.memory, "phi", story.now).memory
    story.see(REFUSED)
    assert len(story.restarts) == 4


def test_the_cap_holds_even_when_the_service_recovers_in_between() -> None:
    story = healthy()
    for _ in range(6):
        story.see(REFUSED, REFUSED, REFUSED, OK, OK, every=40)
    assert len(story.restarts) == 3
    assert Happening.GAVE_UP in story.alerts()


def test_the_backoff_starts_over_after_a_stable_time() -> None:
    story = broken().see(OK, OK)
    assert story.memory.streak == 1
    story.see(*[OK] * 121)
    assert story.memory.streak == 0


def test_a_chat_whose_models_are_down_is_neither_restarted_nor_alerted() -> None:
    story = healthy()
    story.failed_dependencies = ("phi-inference",)
    story.see(*[NOT_READY] * 50)
    assert (story.restarts, story.alerts()) == ([], [])
    assert story.memory.state is State.DEGRADED
    assert story.memory.reason.startswith("waits for phi-inference")


def test_a_chat_that_is_not_ready_although_its_models_are_fine_is_restarted() -> None:
    assert len(healthy().see(NOT_READY, NOT_READY, NOT_READY).restarts) == 1


def test_a_chat_that_fails_before_its_model_was_looked_at_waits_for_that_check() -> None:
    story = healthy()
    story.dependencies_fine_at = story.now - 1
    story.see(*[NOT_READY] * 5)
    assert (story.restarts, story.alerts()) == ([], [])
    story.dependencies_fine_at = story.now
    story.see(NOT_READY)
    assert len(story.restarts) == 1, "the model was looked at, and is not to blame"


def test_a_dead_service_does_not_wait_for_a_check_of_its_dependencies() -> None:
    story = healthy()
    story.dependencies_fine_at = story.now - 1
    assert len(story.see(REFUSED, REFUSED, REFUSED).restarts) == 1


def test_a_service_is_fine_until_its_first_failed_check() -> None:
    story = healthy()
    assert fine_at(story.memory) == story.now - 5
    assert fine_at(story.see(REFUSED).memory) == 0
    assert fine_at(story.see(OK).memory) == story.now - 5


def test_a_model_that_only_stumbled_does_not_reset_what_was_seen_of_the_chat() -> None:
    story = healthy().see(NOT_READY, NOT_READY)
    story.dependencies_fine_at = 0.0
    story.see(NOT_READY)
    assert (story.restarts, story.memory.state) == ([], State.OK)
    story.dependencies_fine_at = story.now
    story.see(NOT_READY)
    assert len(story.restarts) == 1


def test_failures_while_a_dependency_was_down_do_not_count_afterwards() -> None:
    story = healthy()
    story.failed_dependencies = ("phi-inference",)
    story.see(*[NOT_READY] * 10)
    story.failed_dependencies = ()
    story.see(NOT_READY, NOT_READY, OK)
    assert story.restarts == []


def test_a_dead_service_is_restarted_whatever_its_dependencies_do() -> None:
    story = healthy()
    story.failed_dependencies = ("phi-inference",)
    assert len(story.see(REFUSED, REFUSED, REFUSED).restarts) == 1


def test_in_a_pause_nothing_is_restarted_or_alerted_and_afterwards_it_is() -> None:
    story = healthy()
    story.memory = pause(story.memory, "phi", story.now + 100, story.now).memory
    story.see(*[REFUSED] * 20)
    assert (story.restarts, story.alerts()) == ([], [])
    assert story.memory.state is State.DOWN, "what is seen is still shown"
    story.see(REFUSED)
    assert len(story.restarts) == 1
    assert story.alerts() == [Happening.FAILED]


def test_flapping_is_one_alert_and_ends_with_one() -> None:
    story = healthy().see(*[REFUSED, OK] * 20, every=20)
    assert story.alerts() == [Happening.FLAPPING]
    assert story.memory.state is State.DEGRADED
    assert story.restarts == [], "no failure was confirmed"
    story.see(*[OK] * 60, every=20)
    assert story.alerts() == [Happening.FLAPPING, Happening.SETTLED]
    assert story.memory.state is State.OK


def test_flapping_that_ends_in_a_failure_is_told_as_that_alone() -> None:
    story = healthy()
    story.policy = replace(RULES, restart=False)
    story.see(*[REFUSED, OK] * 10, every=20).see(*[REFUSED] * 60, every=20)
    assert story.alerts() == [Happening.FLAPPING, Happening.FAILED]
    assert not story.memory.flapping


def test_a_single_failed_check_does_not_end_flapping_unheard() -> None:
    story = healthy()
    story.memory = replace(story.memory, flapping=True, last_good=False, changes=())
    assert story.see(REFUSED).alerts() == []
    assert story.see(OK).alerts() == [Happening.SETTLED]


def test_what_is_told_while_it_flaps_is_taken_back_when_it_recovers() -> None:
    story = healthy()
    story.memory = replace(story.memory, flapping=True, changes=(story.now,) * 6)
    story.outcome = Outcome.STOPPED_BY_HAND
    story.see(*[REFUSED] * 3).see(OK, OK)
    assert story.alerts() == [Happening.RESTART_HELD, Happening.RECOVERED]


def test_flapping_between_confirmed_states_does_not_send_an_alert_each_time() -> None:
    story = healthy()
    story.policy = Policy(RULES.thresholds, RULES.restarts, start_grace=0, restart=False)
    story.see(*[REFUSED, REFUSED, REFUSED, OK, OK] * 10, every=10)
    assert story.alerts().count(Happening.FAILED) <= 3
    assert story.alerts().count(Happening.FLAPPING) == 1


@pytest.mark.parametrize(
    ("outcome", "asked_again_after", "counts", "said"),
    [
        (Outcome.FRESH, 60, True, "restarted by another hand"),
        (Outcome.WAIT, 7, False, "waits for the container's own health check"),
        (Outcome.HEALTHY_INSIDE, 120, False, "the network to it is at fault"),
        (Outcome.STOPPED_BY_HAND, 120, False, "stopped by hand"),
        (Outcome.NOT_FOUND, 120, False, "no container"),
        (Outcome.SWARM, 120, False, "Swarm itself replaces"),
        (Outcome.REFUSED, 30, False, "restart failed"),
        (Outcome.ENGINE_FAILED, 30, False, "restart failed"),
        (Outcome.UNREACHABLE, 30, False, "restart failed"),
    ],
)
def test_what_follows_from_each_answer_of_the_restarter(
    outcome: Outcome, asked_again_after: float, counts: bool, said: str
) -> None:
    story = broken(outcome=outcome)
    assert story.asked == 1
    first = story.now - 5
    while story.asked == 1:
        story.see(REFUSED, every=1)
        assert story.now - first < 1000
    assert story.now - 1 - first >= asked_again_after
    assert bool(story.memory.restarts) is counts
    assert any(said in event.reason for event in story.events)


def late_answer(outcome: Outcome) -> tuple[Story, Memory]:
    """The answer comes when the service has recovered."""
    story = healthy()
    pending = Pending(story.now, story.now, story.now, False, "refused", "connection refused")
    story.memory = replace(story.memory, pending=pending)
    before = story.memory
    story.outcome = outcome
    story.answer()
    return story, before


@pytest.mark.parametrize(
    "outcome", [one for one in Outcome if one not in (Outcome.RESTARTED, Outcome.FRESH)]
)
def test_an_answer_that_comes_after_the_recovery_is_no_news(outcome: Outcome) -> None:
    story, before = late_answer(outcome)
    assert story.events[-1].happening is Happening.STATE, "of its beginning"
    assert story.memory == replace(before, pending=None)


@pytest.mark.parametrize(("outcome", "total"), [(Outcome.RESTARTED, 1), (Outcome.FRESH, 0)])
def test_a_restart_that_was_done_counts_after_the_recovery_too(
    outcome: Outcome, total: int
) -> None:
    story, _ = late_answer(outcome)
    assert (len(story.memory.restarts), story.memory.restarts_total) == (1, total)
    assert (story.memory.state, story.memory.pending, story.alerts()) == (State.OK, None, [])


FAILING = (Outcome.UNREACHABLE, Outcome.ENGINE_FAILED, Outcome.REFUSED)


@pytest.mark.parametrize("outcome", FAILING)
def test_restarts_that_fail_are_tried_ever_more_rarely(outcome: Outcome) -> None:
    story = broken(outcome=outcome)
    asked = [story.now]
    while len(asked) < 8:
        before = story.asked
        story.see(REFUSED, every=1)
        if story.asked > before:
            asked.append(story.now)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps == [pytest.approx(gap, abs=5) for gap in (30, 60, 120, 240, 480, 900, 900)]


@pytest.mark.parametrize("end", ["recovery", "restart", "resume"])
def test_the_next_restart_that_fails_is_the_first_again_and_told(end: str) -> None:
    story = broken(outcome=Outcome.UNREACHABLE).see(*[REFUSED] * 100)
    assert story.memory.attempts > 2
    if end == "resume":
        story.memory = resume(story.memory, "phi", story.now).memory
    elif end == "recovery":
        story.see(OK, OK)
    else:
        story.outcome = Outcome.RESTARTED
        while not story.restarts:
            story.see(REFUSED)
    assert (story.memory.attempts, story.memory.told) == (0, ())


def test_each_kind_of_failed_restart_is_told_once_however_its_words_change() -> None:
    story = broken(outcome=Outcome.WAIT)
    for number in range(24 * 120):
        outcome = FAILING[number % 3]
        pending = Pending(0, 0, 0, False, "refused", "connection refused")
        memory = replace(story.memory, pending=pending)
        answer = RestartAnswer(outcome, f"error {number}")
        step = answered(memory, "phi", answer, RULES, story.now, 0.5)
        story.memory = step.memory
        story.events += step.events
        story.see(REFUSED, every=30)
        assert f"error {number}" in story.memory.held, "the last text is what is shown"
    assert story.alerts() == [Happening.FAILED, *[Happening.RESTART_FAILED] * 3]


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome.LOOPING, Happening.GAVE_UP),
        (Outcome.SWARM, Happening.RESTART_HELD),
        (Outcome.UNREACHABLE, Happening.RESTART_FAILED),
    ],
)
def test_an_answer_that_comes_in_a_pause_is_told_after_it(
    outcome: Outcome, told: Happening
) -> None:
    story = broken()
    pending = Pending(0, 0, 0, False, "refused", "connection refused")
    memory = replace(story.memory, pending=pending, not_before=0.0)
    step = answered(memory, "phi", RestartAnswer(outcome), RULES, story.now, 0.5, paused=True)
    assert not any(event.alert for event in step.events)
    story.memory, story.outcome = step.memory, outcome
    story.see(*[REFUSED] * 100)
    assert story.alerts() == [Happening.FAILED, told]


def test_what_an_older_monitor_remembered_is_still_understood() -> None:
    adapter = TypeAdapter(dict[str, Memory])
    data = adapter.dump_python({"phi": broken().memory}, mode="json")
    for new in ("attempts", "told", "draining_since"):
        del data["phi"][new]
    assert adapter.validate_json(json.dumps(data)) == {"phi": broken().memory}


def test_a_reason_that_holds_a_restart_is_told_once() -> None:
    story = broken(outcome=Outcome.HEALTHY_INSIDE).see(*[SILENT] * 100)
    assert story.asked > 3
    assert story.happenings().count(Happening.RESTART_HELD) == 1


def test_a_container_that_docker_already_restarts_in_a_loop_is_given_up_at_once() -> None:
    story = broken(outcome=Outcome.LOOPING).see(*[REFUSED] * 50)
    assert (story.asked, story.alerts()) == (1, [Happening.FAILED, Happening.GAVE_UP])


def test_the_second_opinion_is_asked_only_when_nothing_came_back() -> None:
    world = World(1000.0)
    for verdict, expected in [(SILENT, True), (REFUSED, False), (STALLED, False)]:
        memory = healthy().memory
        for _ in range(3):
            memory = observe(memory, "phi", verdict, RULES, world).memory
        assert memory.pending is not None
        assert memory.pending.second_opinion is expected


def test_the_question_carries_the_first_failure_and_the_last_good_check() -> None:
    memory = healthy().memory
    for now, verdict in [(1990.0, OK), (2000.0, REFUSED), (2005.0, REFUSED), (2010.0, REFUSED)]:
        memory = observe(memory, "phi", verdict, RULES, World(now)).memory
    assert memory.pending is not None
    assert (memory.pending.failing_since, memory.pending.known_start) == (2000.0, 1990.0)


def test_a_container_started_by_another_hand_is_known_once_it_was_told_of() -> None:
    story = broken(outcome=Outcome.FRESH)
    told = story.memory.last_restart_at
    story.outcome = Outcome.RESTARTED
    story.see(*[REFUSED] * 20)
    pending_start = story.memory.known_start
    assert told is not None
    assert pending_start >= told, "asked again, the same start is no news"
    assert len(story.restarts) == 1


def test_while_an_answer_is_awaited_nothing_is_asked_again() -> None:
    memory, asked = healthy().memory, 0
    for now in range(2000, 2200, 5):
        step = observe(memory, "phi", REFUSED, RULES, World(float(now)))
        memory = step.memory
        asked += sum(event.happening is Happening.RESTART_ASKED for event in step.events)
    assert asked == 1


def test_where_restarts_are_off_people_are_told_and_nothing_else() -> None:
    policy = Policy(RULES.thresholds, RULES.restarts, start_grace=0, restart=False)
    story = Story(policy=policy).see(OK, *[REFUSED] * 10)
    assert (story.asked, story.alerts()) == (0, [Happening.FAILED])


def test_memory_stays_bounded_however_long_a_service_misbehaves() -> None:
    story = healthy().see(*[REFUSED, OK, REFUSED, REFUSED, REFUSED, OK, OK] * 500, every=3)
    assert len(story.memory.changes) <= 12
    assert len(story.memory.restarts) <= 3
