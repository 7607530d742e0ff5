"""The questions that are put to a service of each kind, and the verdict on the answers."""

from __future__ import annotations

from dataclasses import replace

from app.monitor.checks.fetch import Answer, Fetcher, NoAnswer
from app.monitor.checks.progress import Progress, Sample, advanced, judge, read_counter, read_slots
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import CHECK_TIMEOUT, Expectation, Kind, Service, Thresholds

WORK_COUNTERS = ("n_decode_total", "prompt_tokens_total", "tokens_predicted_total")

# One token of prompt, one of answer, greedy: the least work that proves the whole path.
CANARY = {"prompt": "1", "n_predict": 1, "temperature": 0, "stream": False}

# Its digit, and what a tokenizer puts around it.
CANARY_PROMPT_TOKENS = 4

SILENCE = Sample(busy=None, slots=None, silent=True)

# llama-server's until it can be used, and its container's while it fetches a model.
NOT_YET = "unavailable_error"

LOADING_WORDS = ("loading", "starting", "downloading", "fetching")


class Prober:
    """Checks services; remembers only what the forward-progress judgement needs."""

    def __init__(
        self, fetcher: Fetcher, thresholds: Thresholds, timeout: float = CHECK_TIMEOUT
    ) -> None:
        self._fetcher = fetcher
        self._thresholds = thresholds
        self.timeout = timeout
        self._progress: dict[str, Progress] = {}

    async def check(self, service: Service, now: float) -> Verdict:
        """Check a service once. Never raises for what the service does."""
        try:
            if service.kind is Kind.INFERENCE:
                return await self._inference(service, now)
            if service.kind is Kind.CHAT:
                return await self._chat(service)
            if service.kind is Kind.CONNECTOR:
                return await self._connector(service)
            if service.kind is Kind.TCP:
                return await self._tcp(service)
            answer = await self._fetcher.get(service.base_url, self.timeout)
        except NoAnswer as fault:
            if fault.code == "refused":
                # No process listens, so what its slots last did says nothing of the next one's.
                self.forget(service)
            return Verdict(State.DOWN, fault.code, str(fault), unreachable=fault.unreachable)
        return judge_answer(answer, service.expect)

    def forget(self, service: Service) -> None:
        """Judge no check by the ones before: another process runs now."""
        self._progress.pop(service.name, None)

    async def _chat(self, service: Service) -> Verdict:
        """`/health` says whether the gateway itself works, `/ready` whether a model does."""
        alive = judge_answer(await self._health(service), service.expect)
        if alive.state not in (State.OK, State.DEGRADED):
            return replace(alive, excusable=False)
        ready = await self._fetcher.get(f"{service.base_url}/ready", self.timeout)
        verdict = judge_answer(ready, Expectation())
        if verdict.state is State.DOWN:
            reason = f"not ready: {detail(ready)}"
            return Verdict(State.DOWN, "not_ready", reason, alive.latency, excusable=True)
        return alive if verdict.state is State.OK else verdict

    async def _tcp(self, service: Service) -> Verdict:
        """Whether somebody listens; what was said to it, its own health check knows better."""
        host, port = service.url.host or "", service.url.port or 0
        seconds = await self._fetcher.connect(host, port, self.timeout)
        return Verdict(State.OK, "ok", "accepts connections", seconds)

    async def _connector(self, service: Service) -> Verdict:
        """cloudflared's `/ready`: 200 with the number of edge connections, or 503."""
        answer = await self._fetcher.get(f"{service.base_url}/ready", self.timeout)
        connections = _member(answer, "readyConnections")
        if answer.status == 200:
            reason = f"{connections} connections to the edge"
            return Verdict(State.OK, "ok", reason, answer.seconds)
        if connections == 0:
            reason = "no connection to the edge"
            return Verdict(State.DOWN, "no_edge", reason, answer.seconds)
        return judge_answer(answer, Expectation())

    async def _inference(self, service: Service, now: float) -> Verdict:
        """`/slots` says more than `/health`, as it goes through the loop that does the work. So
        it is asked first, and `/health` only where it leaves the question open."""
        before = self._progress.get(service.name, Progress())
        slots = await self._slots(service)
        sample = read_answer(slots)
        if slots is not None and sample is not None:
            alive = judge_answer(slots, Expectation(max_seconds=service.expect.max_seconds))
        else:
            alive = judge_answer(await self._health(service), service.expect)
            if alive.state not in (State.OK, State.DEGRADED):
                self._progress.pop(service.name, None)
                return alive
            sample = SILENCE if slots is None else await self._sample_from_metrics(service)
        sample = await self._doubt(service, before, sample)
        after, found = judge(before, sample, now, self._thresholds.stall_after)
        if found.state is State.OK:
            after, found = await self._prove(service, after, now)
        self._progress[service.name] = after
        if found.state is State.OK and alive.state is State.DEGRADED:
            return alive
        return replace(found, latency=alive.latency)

    async def _slots(self, service: Service) -> Answer | None:
        """The answer of `/slots`; None where it takes too long, which a hung work loop explains.
        It has half of the time, so that `/health` has the other half."""
        try:
            return await self._fetcher.get(f"{service.base_url}/slots", self.timeout / 2)
        except NoAnswer as fault:
            if fault.code == "timeout":
                return None
            raise

    async def _health(self, service: Service) -> Answer:
        return await self._fetcher.get(f"{service.base_url}/health", self.timeout)

    async def _doubt(self, service: Service, before: Progress, sample: Sample) -> Sample:
        """Where the slots show no work done, count tokens too: short requests may all be seen at
        their very beginning. Not always, since each reading of llama-server's metrics resets
        averages that others read."""
        if not sample.busy or sample.tokens is not None or before.mark is None:
            return sample
        if advanced(before, sample):
            return sample
        return replace(sample, tokens=await self._counted(service))

    async def _sample_from_metrics(self, service: Service) -> Sample:
        metrics = await self._quietly(f"{service.base_url}/metrics", self.timeout)
        if metrics is None:
            return SILENCE
        if metrics.status != 200:
            return Sample(busy=0, slots=None)
        busy = read_counter(metrics.text, ("requests_processing", "requests_deferred"))
        tokens = read_counter(metrics.text, WORK_COUNTERS)
        return Sample(busy=int(busy or 0), slots=None, mark=(), tokens=tokens)

    async def _counted(self, service: Service) -> float | None:
        metrics = await self._quietly(f"{service.base_url}/metrics", self.timeout)
        if metrics is None or metrics.status != 200:
            return None
        return read_counter(metrics.text, WORK_COUNTERS)

    async def _prove(
        self, service: Service, progress: Progress, now: float
    ) -> tuple[Progress, Verdict]:
        """Have an idle service make one token, where real use has made none for long."""
        idle = Verdict(State.OK, "ok", "idle")
        if (
            progress.proven_at is not None
            and now - progress.proven_at < self._thresholds.canary_every
        ):
            return progress, idle
        tokens = await self._counted(service)
        if tokens is not None and progress.tokens is not None and tokens > progress.tokens:
            return replace(progress, tokens=tokens, proven_at=now), idle
        verdict = await self._canary(service, tokens)
        if verdict.state is not State.OK:
            return progress, verdict
        return replace(progress, proven_at=now, tokens=await self._counted(service)), verdict

    async def _canary(self, service: Service, tokens: float | None) -> Verdict:
        try:
            url = f"{service.base_url}/completion"
            answer = await self._fetcher.post(url, self.timeout, json=CANARY)
        except NoAnswer as fault:
            return await self._canary_unanswered(service, tokens, fault)
        if answer.status == 200:
            return Verdict(State.OK, "ok", "idle, made a token when asked")
        if answer.status in (429, 503):
            return Verdict(State.BUSY, "busy", "refused a test request as busy")
        return Verdict(State.STALLED, "no_token", f"idle, but made no token: {detail(answer)}")

    async def _canary_unanswered(
        self, service: Service, tokens: float | None, fault: NoAnswer
    ) -> Verdict:
        """A real request may have come first: then the next checks see whether it moves. A single
        busy slot that has done no more than the test itself could have, is taken for the test,
        unless tokens were counted since."""
        sample = read_answer(await self._quietly(f"{service.base_url}/slots", self.timeout))
        if sample is None or not (sample.busy == 0 or _may_be_canary(sample)):
            return Verdict(State.BUSY, "busy", "a test request waits behind other work")
        if sample.busy and tokens is not None:
            counted = await self._counted(service)
            if counted is not None and counted > tokens:
                return Verdict(State.BUSY, "busy", "a test request waits behind other work")
        return Verdict(State.STALLED, "no_token", f"idle, but made no token: {fault}")

    async def _quietly(self, url: str, within: float) -> Answer | None:
        try:
            return await self._fetcher.get(url, within)
        except NoAnswer:
            return None


def _may_be_canary(sample: Sample) -> bool:
    works = sample.mark or ()
    if len(works) != 1 or works[0].decoded:
        return False
    prompt = works[0].prompt
    return isinstance(prompt, int | float) and prompt <= CANARY_PROMPT_TOKENS


def read_answer(slots: Answer | None) -> Sample | None:
    """What an answer of `/slots` shows; None if nothing."""
    if slots is None or slots.status != 200:
        return None
    try:
        return read_slots(slots.content)
    except ValueError:
        return None


def judge_answer(answer: Answer, expect: Expectation) -> Verdict:
    """The verdict on one answer by its status, its body and its time."""
    word = _status_word(answer)
    if answer.status == 503 and _error_type(answer) == NOT_YET:
        loads = "loading model" in answer.text.lower()
        reason = "loads its model" if loads else f"not yet: {detail(answer)}"
        return Verdict(State.LOADING, "loading", reason, answer.seconds)
    if word in LOADING_WORDS:
        return Verdict(State.LOADING, "loading", f"says it is {word}", answer.seconds)
    if word == "draining":
        return Verdict(State.DRAINING, "draining", "finishes what it has begun", answer.seconds)
    if answer.status not in expect.status:
        return _failed(answer, f"http_{answer.status}", detail(answer))
    if expect.body_contains is not None and expect.body_contains not in answer.text:
        return _failed(answer, "body", f"the answer lacks {expect.body_contains!r}")
    for path, wanted in expect.json_values.items():
        found = _at(answer, path)
        if found != wanted:
            return _failed(answer, "body", f"{path} is {found!r}, not {wanted!r}")
    if expect.max_seconds is not None and answer.seconds > expect.max_seconds:
        reason = f"took {answer.seconds:.2f} s, more than {expect.max_seconds:g} s"
        return Verdict(State.DEGRADED, "slow", reason, answer.seconds)
    return Verdict(State.OK, "ok", f"HTTP {answer.status}", answer.seconds)


def _failed(answer: Answer, code: str, reason: str) -> Verdict:
    return Verdict(State.DOWN, code, reason, answer.seconds, excusable=True)


def detail(answer: Answer) -> str:
    """The status of a refusing answer, and the reason that its body gives, if any."""
    content = answer.content
    said: object = None
    if isinstance(content, dict):
        error = content.get("error")
        said = error.get("message") if isinstance(error, dict) else error
        said = said or content.get("reason") or content.get("status")
    return f"HTTP {answer.status}" + (f" ({str(said)[:120]})" if said else "")


def _error_type(answer: Answer) -> object:
    error = _member(answer, "error")
    return error.get("type") if isinstance(error, dict) else None


def _status_word(answer: Answer) -> str:
    word = _member(answer, "status")
    return word.lower() if isinstance(word, str) else ""


def _member(answer: Answer, key: str) -> object:
    content = answer.content
    return content.get(key) if isinstance(content, dict) else None


def _at(answer: Answer, path: str) -> object:
    found = answer.content
    for part in path.split("."):
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found
