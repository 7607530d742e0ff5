"""Does an inference service still produce tokens? A pure judgement over what llama-server shows.

Source of the facts: llama.cpp's tools/server (server-context.cpp, server-task.cpp). `/slots`
lists for each slot `is_processing`, `id_task`, `n_prompt_tokens_processed` and
`next_token[0].n_decoded`; `/metrics` counts `n_decode_total` and the tokens. Both go through
the queue of the work loop, so a loop that hangs leaves them without an answer while `/health`,
which the HTTP thread gives, stays 200.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.monitor.decisions.states import State, Verdict


class Work(NamedTuple):
    """What a busy slot shows of its work: a task begins with no prompt processed, none decoded."""

    slot: object
    task: object
    prompt: object
    decoded: object


Mark = tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What `/slots` and `/metrics` showed. None: no answer in time, or not served.

    `mark`: the work of each busy slot; empty where `/slots` is not served. `tokens` counts all
    work since start.
    """

    busy: int | None
    slots: int | None
    mark: Mark | None = None
    tokens: float | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """What is remembered of a service from check to check. Times are seconds since the epoch.

    `moved_at`: when work was last seen to advance, or nothing was to be done.
    `proven_at`: when it was last seen to work, by real use or by a one-token test.
    """

    mark: Mark | None = None
    tokens: float | None = None
    moved_at: float | None = None
    proven_at: float | None = None


def read_slots(slots: object) -> Sample:
    """The sample that a parsed `/slots` answer holds; ValueError if it is none."""
    if not isinstance(slots, list) or not all(isinstance(slot, dict) for slot in slots):
        raise ValueError("/slots did not answer a list of slots")
    working = [slot for slot in slots if slot.get("is_processing")]
    return Sample(busy=len(working), slots=len(slots), mark=tuple(map(_mark, working)))


def _mark(slot: Mapping[str, object]) -> Work:
    tokens = slot.get("next_token")
    first = tokens[0] if isinstance(tokens, list) and tokens else tokens
    decoded = first.get("n_decoded") if isinstance(first, dict) else None
    task, prompt = slot.get("id_task"), slot.get("n_prompt_tokens_processed")
    return Work(slot.get("id"), task, prompt, decoded)


def read_counter(text: str, names: Sequence[str]) -> float | None:
    """The sum of some llamacpp counters in the Prometheus text of `/metrics`, if any is there."""
    wanted = {f"llamacpp:{name}" for name in names}
    values = [
        number
        for parts in (line.split() for line in text.splitlines())
        if len(parts) == 2 and parts[0] in wanted and (number := _number(parts[1])) is not None
    ]
    return sum(values) if values else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def judge(
    before: Progress, sample: Sample, now: float, stall_after: float
) -> tuple[Progress, Verdict]:
    """Judge a service that answers its `/health` with 200.

    Busy is no failure, however long it lasts, as long as any slot moves within `stall_after`
    seconds. A work loop that does not answer `/slots` is given the same time.
    """
    if sample.busy == 0:
        after = replace(before, mark=None, moved_at=now)
        return after, Verdict(State.OK, "ok", "idle")
    moved = _moved(before, sample)
    after = Progress(
        mark=before.mark if sample.silent else sample.mark,
        tokens=sample.tokens if sample.tokens is not None else before.tokens,
        moved_at=now if moved or _begins(before, sample) else before.moved_at,
        proven_at=now if moved and before.moved_at is not None else before.proven_at,
    )
    still = 0.0 if after.moved_at is None else now - after.moved_at
    if still > stall_after:
        return after, Verdict(State.STALLED, "no_progress", _stalled(sample, still))
    return after, Verdict(State.BUSY, "busy", _busy(sample, still))


def _moved(before: Progress, sample: Sample) -> bool:
    if before.tokens is not None and sample.tokens is not None and sample.tokens > before.tokens:
        return True
    return advanced(before, sample)


def advanced(before: Progress, sample: Sample) -> bool:
    """Whether the slots show work that they did not show before. A new task alone is none: where
    every request hangs, people give up and others come, and no token is made."""
    known = {work.slot: work for work in before.mark or ()}
    for work in sample.mark or ():
        earlier = known.get(work.slot)
        if earlier is None or earlier.task != work.task:
            if work.prompt or work.decoded:
                return True
        elif earlier != work:
            return True
    return False


def _begins(before: Progress, sample: Sample) -> bool:
    """Whether there is nothing yet that a sample could have advanced from, so that the time in
    which it must begins with it."""
    if before.moved_at is None:
        return True
    if sample.silent:
        return False
    if before.mark is None:
        return True
    if sample.tokens is None:
        return False
    if before.tokens is None:
        return sample.mark != before.mark
    return sample.tokens < before.tokens


def _stalled(sample: Sample, still: float) -> str:
    if sample.silent:
        return f"answers /health, but its work loop has not answered for {still:.0f} s"
    return f"{sample.busy} of {sample.slots} slots busy, no token for {still:.0f} s"


def _busy(sample: Sample, still: float) -> str:
    if sample.silent:
        return f"its work loop has not answered for {still:.0f} s, which a long step explains"
    return f"{sample.busy} of {sample.slots} slots busy"
