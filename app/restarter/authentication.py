"""Authenticates requests by their signature, and limits how often a service is restarted.

A client asks for a challenge, and sends its request with it in `X-Challenge` and with
`X-Signature`: the hexadecimal HMAC-SHA256, keyed with the shared token, over these lines:
challenge, method, path, hexadecimal SHA-256 of the body.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping

CHALLENGE_SECONDS = 30.0
"""How long after it was issued a challenge can be used."""

REMEMBERED_CHALLENGES = 4096
CHALLENGE = re.compile(r"[0-9]{1,12}\.[0-9]{6}-[0-9a-f]{32}-[0-9a-f]{64}")
HOUR = 3600.0


class Refused(Exception):
    """The request is refused, with this HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def sign(token: bytes, challenge: str, method: str, path: str, body: bytes) -> str:
    """The signature of a request."""
    digest = hashlib.sha256(body).hexdigest()
    text = "\n".join((challenge, method, path, digest))
    return hmac.new(token, text.encode(), hashlib.sha256).hexdigest()


class Authenticator:
    """Accepts a request once, with a challenge that this process issued. Thread-safe.

    A challenge has its time in it, and a seal of a key that ends with the process. So nothing is
    kept of challenges that are not used, and no request of an earlier process can be sent again.

    :param clock: seconds of a clock that is never set, since the host's clock may be.
    """

    def __init__(self, token: bytes, clock: Callable[[], float]) -> None:
        self._token = token
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def challenge(self) -> str:
        """A new challenge."""
        content = f"{self._clock():.6f}-{secrets.token_hex(16)}"
        return f"{content}-{self._seal(content)}"

    def check(self, headers: Mapping[str, str], method: str, path: str, body: bytes) -> None:
        """Accept a request once; raises Refused."""
        challenge = headers.get("X-Challenge") or ""
        signature = headers.get("X-Signature") or ""
        if not CHALLENGE.fullmatch(challenge):
            raise Refused(401, "unsigned")
        expected = sign(self._token, challenge, method, path, body)
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise Refused(401, "wrong signature")
        content, _, seal = challenge.rpartition("-")
        if not hmac.compare_digest(self._seal(content), seal):
            raise Refused(401, "the challenge is not from this process")
        issued_at = float(content.partition("-")[0])
        if self._clock() - issued_at > CHALLENGE_SECONDS:
            raise Refused(401, "the challenge is too old")
        self._use(challenge, issued_at)

    def _seal(self, content: str) -> str:
        return hmac.new(self._key, content.encode(), hashlib.sha256).hexdigest()

    def _use(self, challenge: str, issued_at: float) -> None:
        with self._lock:
            oldest = self._clock() - CHALLENGE_SECONDS
            self._used = {key: at for key, at in self._used.items() if at >= oldest}
            if challenge in self._used:
                raise Refused(401, "replayed")
            if len(self._used) >= REMEMBERED_CHALLENGES:
                raise Refused(429, "too many requests")
            self._used[challenge] = issued_at


class RestartLimit:
    """Limits the restarts of each service, independently of the monitor's own limit."""

    def __init__(self, max_per_hour: int, min_gap: float, clock: Callable[[], float]) -> None:
        self._max_per_hour = max_per_hour
        self._min_gap = min_gap
        self._clock = clock
        self._restarts: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def take(self, service: str) -> float:
        """Count a restart and return its time; raises Refused over the limit."""
        now = self._clock()
        with self._lock:
            recent = self._restarts.setdefault(service, deque(maxlen=self._max_per_hour or 1))
            while recent and recent[0] <= now - HOUR:
                recent.popleft()
            if len(recent) >= self._max_per_hour:
                raise Refused(429, f"{service} was restarted {len(recent)} times within an hour")
            if recent and now - recent[-1] < self._min_gap:
                raise Refused(429, f"{service} was restarted less than {self._min_gap:g} s ago")
            recent.append(now)
        return now

    def give_back(self, service: str, taken_at: float) -> None:
        """Remove a restart from the count, because it failed."""
        with self._lock, contextlib.suppress(ValueError):
            self._restarts[service].remove(taken_at)
