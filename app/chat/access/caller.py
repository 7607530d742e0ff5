"""One caller of the gateway, and what it may use."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.chat.access.rate_limit import MinuteBudget
from app.chat.fleet.fair_queue import Share
from app.chat.openai.errors import ApiError
from app.chat.settings import CallerLimits

DAY_SECONDS = 86_400

TokensToday = Callable[[str], int | None]
"""The tokens that a caller used today, by its name; None if the number cannot be read."""


@dataclass
class TokenHold:
    """Tokens that a running request may use: its estimate, until the real number is known."""

    caller: Caller
    prompt: int
    completion: int

    @property
    def estimate(self) -> int:
        return self.prompt + self.completion

    def settle(self, used: int) -> None:
        """Replace the estimate by the tokens that the request used."""
        self.caller.settle(self, used)


class Caller:
    """The owner of a key; without keys, all clients together.

    :param name: for its usage and its share.
    :param label: for metrics, which must not have one for each person; None: the name.
    :param logged: for the log; None: the name.
    """

    def __init__(
        self,
        name: str,
        limits: CallerLimits,
        clock: Callable[[], float],
        tokens_today: TokensToday,
        *,
        anonymous: bool = False,
        label: str | None = None,
        logged: str | None = None,
    ) -> None:
        self.name = name
        self.label = label or name
        self.logged = logged or name
        self.anonymous = anonymous
        self._clock = clock
        self._tokens_today = tokens_today
        self._running = 0
        self._held = 0
        self._requests: MinuteBudget | None = None
        self._tokens: MinuteBudget | None = None
        self.update(limits)

    def update(self, limits: CallerLimits) -> None:
        """Change the limits; what was used stays used."""
        self._limits = limits
        self.models = None if limits.models is None else frozenset(limits.models)
        self._requests = self._resized(self._requests, limits.rpm)
        self._tokens = self._resized(self._tokens, limits.tokens_per_minute)

    def _resized(self, budget: MinuteBudget | None, per_minute: int | None) -> MinuteBudget | None:
        if per_minute is None:
            return None
        if budget is None:
            return MinuteBudget(per_minute, self._clock)
        budget.resize(per_minute)
        return budget

    @property
    def share(self) -> Share:
        return Share(self.name, self._limits.priority)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Counts one request while it runs; raises ApiError 429 over a limit of the caller."""
        concurrency = self._limits.concurrency
        if concurrency is not None and self._running >= concurrency:
            message = f"this key allows {concurrency} requests at once"
            raise ApiError(429, message, code="concurrency_limit", retry_after=2)
        self._check_tokens(1)
        wait = self._requests.take() if self._requests is not None else 0.0
        if wait:
            message = f"this key allows {self._limits.rpm} requests per minute"
            raise ApiError(429, message, code="rate_limit_exceeded", retry_after=wait)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def hold(self, prompt: int, completion: int) -> TokenHold:
        """Reserve the estimated tokens of a request; raises ApiError 429 over a limit."""
        hold = TokenHold(self, prompt, completion)
        self._check_tokens(hold.estimate)
        if self._tokens is not None:
            self._tokens.use(self._at_most_all(hold.estimate))
        self._held += hold.estimate
        return hold

    def settle(self, hold: TokenHold, used: int) -> None:
        if self._tokens is not None:
            self._tokens.use(used - self._at_most_all(hold.estimate))
        self._held -= hold.estimate

    def _at_most_all(self, estimate: int) -> int:
        """An estimate may be too high: allow it if nothing of the limit was used."""
        limit = self._limits.tokens_per_minute
        return estimate if limit is None else min(estimate, limit)

    def _check_tokens(self, estimate: int) -> None:
        if self._tokens is not None and (
            wait := self._tokens.seconds_until(self._at_most_all(estimate))
        ):
            message = f"this key allows {self._limits.tokens_per_minute} tokens per minute"
            raise ApiError(429, message, code="rate_limit_exceeded", retry_after=wait)
        limit = self._limits.tokens_per_day
        if limit is None:
            return
        used = self._tokens_today(self.name)
        if used is None:
            message = "the tokens that this key used today cannot be read"
            raise ApiError(503, message, code="usage_unavailable", retry_after=10)
        if used + self._held + min(estimate, limit) > limit:
            message = f"this key allows {limit} tokens per day (UTC), and used {used} of them today"
            wait = seconds_to_midnight()
            raise ApiError(429, message, code="insufficient_quota", retry_after=wait)

    def rate_limits(self) -> dict[str, str]:
        """The limits as response headers, in the form that OpenAI's API has."""
        headers: dict[str, str] = {}
        if self._requests is not None:
            headers |= _minute_headers("requests", self._requests)
        if self._tokens is not None:
            headers |= _minute_headers("tokens", self._tokens)
        elif (limit := self._limits.tokens_per_day) is not None:
            used = self._tokens_today(self.name)
            left = 0 if used is None else limit - used - self._held
            headers |= _headers("tokens", limit, left, seconds_to_midnight())
        return headers


def seconds_to_midnight() -> float:
    """Seconds until the next day in UTC."""
    return DAY_SECONDS - time.time() % DAY_SECONDS


def _minute_headers(kind: str, budget: MinuteBudget) -> dict[str, str]:
    reset = budget.seconds_until(budget.per_minute)
    return _headers(kind, budget.per_minute, budget.available, reset)


def _headers(kind: str, limit: int, remaining: float, reset: float) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-remaining-{kind}": str(max(0, math.floor(remaining))),
        f"x-ratelimit-reset-{kind}": duration(reset),
    }


def duration(seconds: float) -> str:
    """A duration as OpenAI's API writes it: `20ms`, `1.5s`, `6m0s`, `2h3m4s`."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:g}s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"
