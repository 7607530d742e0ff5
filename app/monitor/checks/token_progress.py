"""Whether a model server still generates tokens: a pure judgement of what llama-server reports.

Source: llama.cpp's tools/server (server-context.cpp, server-task.cpp). `/slots` lists for each slot
`is_processing`, `id_task`, `n_prompt_tokens_processed` and `next_token[0].n_decoded`; `/metrics`
counts `n_decode_total` and the tokens. Both pass through the queue of the work loop, so neither
responds if that loop hangs, while `/health`, which the HTTP thread serves, stays 200.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.monitor.checks.http_client import HttpResponse
from app.monitor.decisions.states import State, Verdict

WORK_COUNTERS = ("n_decode_total", "prompt_tokens_total", "tokens_predicted_total")


class BusySlot(NamedTuple):
    """Work of a busy slot: a task starts with no prompt token processed, and none decoded."""

    slot: object
    task: object
    prompt: object
    decoded: object


@dataclass(frozen=True, slots=True)
class Sample:
    """What `/slots` and `/metrics` showed. None: no response in time, or not served.

    `busy_slots`: empty if `/slots` is not served. `tokens` counts all work since the start.
    """

    busy: int | None
    slots: int | None
    busy_slots: tuple[BusySlot, ...] | None = None
    tokens: float | None = None
    silent: bool = False


SILENT = Sample(busy=None, slots=None, silent=True)


@dataclass(frozen=True, slots=True)
class TokenProgress:
    """What is kept of a service from check to check. Times are seconds since the epoch.

    `moved_at`: when work was last seen to advance, or there was none to do.
    `proven_at`: when it was last seen to work, for a user or in a one-token test.
    """

    busy_slots: tuple[BusySlot, ...] | None = None
    tokens: float | None = None
    moved_at: float | None = None
    proven_at: float | None = None


def read_slots(slots: object) -> Sample:
    """The sample in a parsed `/slots` response; raises ValueError if it has another form."""
    if not isinstance(slots, list) or not all(isinstance(slot, dict) for slot in slots):
        raise ValueError("/slots did not return a list of slots")
    busy = [slot for slot in slots if slot.get("is_processing")]
    return Sample(busy=len(busy), slots=len(slots), busy_slots=tuple(map(_busy_slot, busy)))


def _busy_slot(slot: Mapping[str, object]) -> BusySlot:
    tokens = slot.get("next_token")
    first = tokens[0] if isinstance(tokens, list) and tokens else tokens
    decoded = first.get("n_decoded") if isinstance(first, dict) else None
    task, prompt = slot.get("id_task"), slot.get("n_prompt_tokens_processed")
    return BusySlot(slot.get("id"), task, prompt, decoded)


def read_counter(text: str, names: Sequence[str]) -> float | None:
    """The sum of some llamacpp counters in the Prometheus text of `/metrics`; None without any."""
    series = {f"llamacpp:{name}" for name in names}
    values = [
        number
        for parts in (line.split() for line in text.splitlines())
        if len(parts) == 2 and parts[0] in series and (number := _number(parts[1])) is not None
    ]
    return sum(values) if values else None


def sample_from_metrics(metrics: HttpResponse | None) -> Sample:
    """The sample in a response of `/metrics`; None for no response in time."""
    if metrics is None:
        return SILENT
    if metrics.status != 200:
        return Sample(busy=0, slots=None)
    busy = read_counter(metrics.text, ("requests_processing", "requests_deferred"))
    tokens = read_counter(metrics.text, WORK_COUNTERS)
    return Sample(busy=int(busy or 0), slots=None, busy_slots=(), tokens=tokens)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def judge_progress(
    before: TokenProgress, sample: Sample, now: float, stall_after: float
) -> tuple[TokenProgress, Verdict]:
    """Judge a service whose `/health` returns 200.

    Busy is not a failure, however long it lasts, if any slot advances within `stall_after`
    seconds. A work loop that does not respond to `/slots` has the same time.
    """
    if sample.busy == 0:
        after = replace(before, busy_slots=None, moved_at=now)
        return after, Verdict(State.OK, "ok", "idle")
    moved = _has_moved(before, sample)
    after = TokenProgress(
        busy_slots=before.busy_slots if sample.silent else sample.busy_slots,
        tokens=sample.tokens if sample.tokens is not None else before.tokens,
        moved_at=now if moved or _starts(before, sample) else before.moved_at,
        proven_at=now if moved and before.moved_at is not None else before.proven_at,
    )
    still = 0.0 if after.moved_at is None else now - after.moved_at
    if still > stall_after:
        return after, Verdict(State.STALLED, "no_progress", _stalled_reason(sample, still))
    return after, Verdict(State.BUSY, "busy", _busy_reason(sample, still))


def _has_moved(before: TokenProgress, sample: Sample) -> bool:
    if before.tokens is not None and sample.tokens is not None and sample.tokens > before.tokens:
        return True
    return has_advanced(before, sample)


def has_advanced(before: TokenProgress, sample: Sample) -> bool:
    """Whether the slots show work that they did not show before. A new task alone is not work: if
    every request hangs, users give up and others come, and no token is generated."""
    known = {slot.slot: slot for slot in before.busy_slots or ()}
    for slot in sample.busy_slots or ():
        earlier = known.get(slot.slot)
        if earlier is None or earlier.task != slot.task:
            if slot.prompt or slot.decoded:
                return True
        elif earlier != slot:
            return True
    return False


def _starts(before: TokenProgress, sample: Sample) -> bool:
    """Whether there is nothing yet to compare the sample with, so that the time in which work
    must advance starts with it."""
    if before.moved_at is None:
        return True
    if sample.silent:
        return False
    if before.busy_slots is None:
        return True
    if sample.tokens is None:
        return False
    if before.tokens is None:
        return sample.busy_slots != before.busy_slots
    return sample.tokens < before.tokens


def _stalled_reason(sample: Sample, still: float) -> str:
    if sample.silent:
        return f"/health returns 200, but the work loop has not responded for {still:.0f} s"
    return f"{sample.busy} of {sample.slots} slots busy, no token for {still:.0f} s"


def _busy_reason(sample: Sample, still: float) -> str:
    if sample.silent:
        return f"the work loop has not responded for {still:.0f} s, which a long step explains"
    return f"{sample.busy} of {sample.slots} slots busy"
