"""Busy or stalled: a judgement by the slots and counters of llama-server."""

from dataclasses import replace

import pytest

from app.monitor.checks.token_progress import (
    Sample,
    TokenProgress,
    judge_progress,
    read_counter,
    read_slots,
)
from app.monitor.decisions.states import State

STALL_AFTER = 120.0


def slot(
    number: int = 0, *, busy: bool, task: int = 7, prompt: int = 0, decoded: int = 0
) -> object:
    return {
        "id": number,
        "n_ctx": 4096,
        "is_processing": busy,
        "id_task": task,
        "n_prompt_tokens_processed": prompt,
        "next_token": [{"has_next_token": busy, "n_remain": -1, "n_decoded": decoded}],
    }


def idle() -> Sample:
    return read_slots([slot(busy=False)])


def working(prompt: int = 0, decoded: int = 0, task: int = 7) -> Sample:
    return read_slots([slot(busy=True, prompt=prompt, decoded=decoded, task=task)])


SILENT = Sample(busy=None, slots=None, silent=True)


def play(samples: list[tuple[float, Sample]]) -> list[State]:
    progress, states = TokenProgress(), []
    for now, sample in samples:
        progress, verdict = judge_progress(progress, sample, now, STALL_AFTER)
        states.append(verdict.state)
    return states


def test_idle_is_always_ok() -> None:
    assert set(play([(float(now), idle()) for now in range(0, 10_000, 30)])) == {State.OK}


def test_ten_minutes_of_prompt_are_busy_while_the_prompt_advances() -> None:
    samples = [(now, working(prompt=int(now))) for now in map(float, range(0, 600, 30))]
    assert set(play(samples)) == {State.BUSY}


def test_a_slot_that_does_not_advance_is_stalled_after_the_threshold() -> None:
    states = play([(0, idle()), (10, working()), (100, working()), (131, working())])
    assert states == [State.OK, State.BUSY, State.BUSY, State.STALLED]


def test_new_tokens_restart_the_time() -> None:
    samples = [(0.0, working(decoded=1)), (100.0, working(decoded=2)), (200.0, working(decoded=2))]
    assert play(samples) == [State.BUSY] * 3


def test_one_moving_slot_of_many_proves_progress() -> None:
    stuck = slot(0, busy=True, decoded=5)
    samples = [
        (float(now), read_slots([stuck, slot(1, busy=True, task=8, decoded=now)]))
        for now in range(0, 600, 30)
    ]
    assert set(play(samples)) == {State.BUSY}


@pytest.mark.parametrize(
    ("work", "tokens_grow", "last"),
    [
        ({}, None, State.STALLED),
        ({}, False, State.STALLED),
        ({}, True, State.BUSY),
        ({"prompt": 1}, None, State.BUSY),
        ({"decoded": 1}, None, State.BUSY),
    ],
)
def test_another_task_is_progress_only_if_work_was_done(
    work: dict[str, int], tokens_grow: bool | None, last: State
) -> None:
    """Users give up on requests that hang, and others come; short ones come and go."""
    samples = [(0.0, idle())]
    for now in range(30, 600, 30):
        tokens = None if tokens_grow is None else 5.0 + now * tokens_grow
        samples.append((float(now), replace(working(task=now, **work), tokens=tokens)))
    assert play(samples)[-1] is last


def test_hung_requests_do_not_count_as_progress() -> None:
    progress, _ = judge_progress(TokenProgress(), idle(), 0.0, STALL_AFTER)
    for now in range(30, 90, 30):
        progress, _ = judge_progress(progress, working(task=now), float(now), STALL_AFTER)
    assert progress.proven_at is None


def test_a_slot_that_becomes_free_is_not_progress_of_another() -> None:
    both = read_slots([slot(0, busy=True, decoded=5), slot(1, busy=True, task=8, decoded=5)])
    one = read_slots([slot(0, busy=True, decoded=5), slot(1, busy=False, task=8)])
    assert play([(0, both), (100, one), (121, one)])[-1] is State.STALLED


def test_new_work_after_a_long_pause_has_its_full_time() -> None:
    states = play([(0, idle()), (3600, working()), (3700, working()), (3721, working())])
    assert states == [State.OK, State.BUSY, State.BUSY, State.STALLED]


@pytest.mark.parametrize("tokens", [5.0, None])
def test_a_counter_that_was_reset_or_never_read_gives_full_time(tokens: float | None) -> None:
    """The server was started again in between, or there is nothing to compare with."""
    before = TokenProgress(busy_slots=working(task=1).busy_slots, tokens=tokens, moved_at=0.0)
    sample = replace(working(task=2), tokens=1.0)
    progress, verdict = judge_progress(before, sample, 200.0, STALL_AFTER)
    assert verdict.state is State.BUSY
    assert judge_progress(progress, sample, 321.0, STALL_AFTER)[1].state is State.STALLED


def test_a_work_loop_that_does_not_respond_is_busy_first_and_stalled_later() -> None:
    states = play([(0, idle()), (30, SILENT), (90, SILENT), (121, SILENT)])
    assert states == [State.OK, State.BUSY, State.BUSY, State.STALLED]


def test_silence_between_equal_samples_is_not_progress() -> None:
    states = play([(0, working()), (60, SILENT), (110, working()), (121, working())])
    assert states[-1] is State.STALLED


def test_growing_counters_are_progress_that_slots_do_not_show() -> None:
    def sample(tokens: float) -> Sample:
        return Sample(busy=1, slots=None, busy_slots=(), tokens=tokens)

    assert play([(0, sample(1)), (100, sample(2)), (200, sample(3))])[-1] is State.BUSY
    assert play([(0, sample(1)), (100, sample(1)), (200, sample(1))])[-1] is State.STALLED


def test_counters_are_read_from_the_prometheus_text() -> None:
    text = (
        "# HELP llamacpp:n_decode_total x\n# TYPE llamacpp:n_decode_total counter\n"
        "llamacpp:n_decode_total 41\nllamacpp:tokens_predicted_total 1\nother 5\n"
    )
    assert read_counter(text, ("n_decode_total", "tokens_predicted_total")) == 42
    assert read_counter("other 5\n", ("n_decode_total",)) is None


@pytest.mark.parametrize("number", ["four", "1,5", "0x10", "NaN", "+Inf", "-"])
def test_a_malformed_counter_is_none(number: str) -> None:
    text = f"llamacpp:n_decode_total {number}\n"
    assert read_counter(text, ("n_decode_total",)) is None
    text += "llamacpp:prompt_tokens_total 3\n"
    assert read_counter(text, ("n_decode_total", "prompt_tokens_total")) == 3


@pytest.mark.parametrize("response", [{}, None, "busy", [1]])
def test_a_response_without_a_list_of_slots_is_refused(response: object) -> None:
    with pytest.raises(ValueError, match="list of slots"):
        read_slots(response)
