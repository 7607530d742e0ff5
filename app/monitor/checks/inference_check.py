"""Check of a model server: whether it responds, and whether it still generates tokens."""

from __future__ import annotations

from dataclasses import replace

from app.monitor.checks.http_client import HttpClient, HttpResponse, NoResponse
from app.monitor.checks.response_verdict import detail, judge_response
from app.monitor.checks.router_check import RouterCheck
from app.monitor.checks.token_progress import (
    SILENT,
    WORK_COUNTERS,
    Sample,
    TokenProgress,
    has_advanced,
    judge_progress,
    read_counter,
    read_slots,
    sample_from_metrics,
)
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import Expectation, Service, Thresholds

# One token of prompt, one of output, greedy: the least work that tests the whole path.
TEST_REQUEST = {"prompt": "1", "n_predict": 1, "temperature": 0, "stream": False}

# The digit, and the tokens that a tokenizer adds around it.
TEST_PROMPT_TOKENS = 4

IDLE = Verdict(State.OK, "ok", "idle")
ASLEEP = Verdict(State.OK, "ok", "asleep until the next request")
WAKING = Verdict(State.BUSY, "busy", "loads its model again for a request")
BEHIND_OTHER_WORK = Verdict(State.BUSY, "busy", "a test request waits behind other work")


class InferenceCheck:
    """Checks llama-server, and keeps for each service how its work advanced."""

    def __init__(self, http_client: HttpClient, thresholds: Thresholds, timeout: float) -> None:
        self._http_client = http_client
        self._thresholds = thresholds
        self._timeout = timeout
        self._progress: dict[str, TokenProgress] = {}
        self._asleep_at: dict[str, float] = {}
        self._router = RouterCheck(http_client, thresholds, timeout)

    def reset(self, service: Service) -> None:
        """Drop what earlier checks found: another process runs now."""
        self._progress.pop(service.name, None)
        self._asleep_at.pop(service.name, None)
        self._router.reset(service)

    async def check(self, service: Service, now: float) -> Verdict:
        """Check a service once; raises NoResponse.

        `/slots` passes through the loop that does the work, so it shows more than `/health` and is
        requested first; `/health` only if `/slots` has no usable response.
        """
        if service.routes:
            return await self._router.check(service, now)
        if service.sleeps:
            return await self._check_sleeper(service, now)
        before = self._progress.get(service.name, TokenProgress())
        slots = await self._slots(service)
        sample = read_response(slots)
        if slots is not None and sample is not None:
            alive = judge_response(slots, Expectation(max_seconds=service.expect.max_seconds))
        else:
            health = await self._http_client.get(f"{service.base_url}/health", self._timeout / 2)
            alive = judge_response(health, service.expect)
            if alive.state not in (State.OK, State.DEGRADED):
                self.reset(service)
                return alive
            sample = SILENT if slots is None else await self._sample_from_metrics(service)
        sample = await self._with_token_count(service, before, sample)
        after, verdict = judge_progress(before, sample, now, self._thresholds.stall_after)
        if verdict.state is State.OK and service.generates:
            after, verdict = await self._test_if_due(service, after, now)
        self._progress[service.name] = after
        if verdict.state is State.OK and alive.state is State.DEGRADED:
            return alive
        return replace(verdict, latency=alive.latency)

    async def _check_sleeper(self, service: Service, now: float) -> Verdict:
        """Check a server that gives its memory back when it is idle.

        `/slots` and a test request would wake it, or start its idle time again. `/props`, `/health`
        and `/metrics` do not. While it loads its model for a request, it answers `/health` only.
        """
        health = await self._http_client.get(f"{service.base_url}/health", self._timeout / 2)
        alive = judge_response(health, service.expect)
        if alive.state not in (State.OK, State.DEGRADED):
            self.reset(service)
            return alive
        props = await self._get_or_none(f"{service.base_url}/props", self._timeout / 2)
        before = self._progress.get(service.name, TokenProgress())
        if props is not None and props.member("is_sleeping") is True:
            self._asleep_at[service.name] = now
            self._progress[service.name] = TokenProgress(tokens=before.tokens)
            return replace(ASLEEP, latency=alive.latency)
        sample = SILENT if props is None else await self._sample_from_metrics(service)
        asleep_at = self._asleep_at.get(service.name)
        if sample.silent and asleep_at is not None and now - asleep_at <= service.start_grace:
            return replace(WAKING, latency=alive.latency)
        after, verdict = judge_progress(before, sample, now, self._thresholds.stall_after)
        self._progress[service.name] = after
        if verdict.state is State.OK and alive.state is State.DEGRADED:
            return alive
        return replace(verdict, latency=alive.latency)

    async def _slots(self, service: Service) -> HttpResponse | None:
        """The response of `/slots`; None if it takes too long, which a hung work loop explains.
        It has half of the time, so that `/health` has the other half."""
        try:
            return await self._http_client.get(f"{service.base_url}/slots", self._timeout / 2)
        except NoResponse as error:
            if error.code == "timeout":
                return None
            raise

    async def _with_token_count(
        self, service: Service, before: TokenProgress, sample: Sample
    ) -> Sample:
        """Count tokens too if the slots show no work done: several short requests may each be
        seen at their very start. Not always, since each reading of llama-server's metrics resets
        averages that others read."""
        if not sample.busy or sample.tokens is not None or before.busy_slots is None:
            return sample
        if has_advanced(before, sample):
            return sample
        return replace(sample, tokens=await self._token_count(service))

    async def _sample_from_metrics(self, service: Service) -> Sample:
        return sample_from_metrics(await self._get_or_none(f"{service.base_url}/metrics"))

    async def _token_count(self, service: Service) -> float | None:
        metrics = await self._get_or_none(f"{service.base_url}/metrics")
        if metrics is None or metrics.status != 200:
            return None
        return read_counter(metrics.text, WORK_COUNTERS)

    async def _test_if_due(
        self, service: Service, progress: TokenProgress, now: float
    ) -> tuple[TokenProgress, Verdict]:
        """Request one token of an idle service that has generated none for long."""
        proven_at, canary_every = progress.proven_at, self._thresholds.canary_every
        if proven_at is not None and now - proven_at < canary_every:
            return progress, IDLE
        tokens = await self._token_count(service)
        if tokens is not None and progress.tokens is not None and tokens > progress.tokens:
            return replace(progress, tokens=tokens, proven_at=now), IDLE
        verdict = await self._test(service, tokens)
        if verdict.state is not State.OK:
            return progress, verdict
        return replace(progress, proven_at=now, tokens=await self._token_count(service)), verdict

    async def _test(self, service: Service, tokens: float | None) -> Verdict:
        try:
            url = f"{service.base_url}/completion"
            response = await self._http_client.post(url, self._timeout, json=TEST_REQUEST)
        except NoResponse as error:
            return await self._judge_silent_test(service, tokens, error)
        if response.status == 200:
            return Verdict(State.OK, "ok", "idle, generated a token in a test")
        if response.status in (429, 503):
            return Verdict(State.BUSY, "busy", "refused a test request as busy")
        reason = f"idle, but generated no token: {detail(response)}"
        return Verdict(State.STALLED, "no_token", reason)

    async def _judge_silent_test(
        self, service: Service, tokens: float | None, error: NoResponse
    ) -> Verdict:
        """A user's request may have come first: then the next checks show whether it advances. A
        single busy slot that has done no more than the test could have, counts as the test,
        unless the token counter has grown since."""
        sample = read_response(await self._get_or_none(f"{service.base_url}/slots"))
        if sample is None or not (sample.busy == 0 or _may_be_test(sample)):
            return BEHIND_OTHER_WORK
        if sample.busy and tokens is not None:
            counted = await self._token_count(service)
            if counted is not None and counted > tokens:
                return BEHIND_OTHER_WORK
        return Verdict(State.STALLED, "no_token", f"idle, but generated no token: {error}")

    async def _get_or_none(self, url: str, seconds: float | None = None) -> HttpResponse | None:
        try:
            return await self._http_client.get(url, seconds or self._timeout)
        except NoResponse:
            return None


def _may_be_test(sample: Sample) -> bool:
    slots = sample.busy_slots or ()
    if len(slots) != 1 or slots[0].decoded:
        return False
    prompt = slots[0].prompt
    return isinstance(prompt, int | float) and prompt <= TEST_PROMPT_TOKENS


def read_response(slots: HttpResponse | None) -> Sample | None:
    """The sample in a response of `/slots`; None if there is none."""
    if slots is None or slots.status != 200:
        return None
    try:
        return read_slots(slots.json)
    except ValueError:
        return None
