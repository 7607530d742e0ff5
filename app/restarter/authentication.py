"""Authenticates requests by their signature, and limits how often a service is restarted.

A request carries `X-Timestamp` (seconds since the epoch), `X-Nonce` (16 to 64 characters, used
once) and `X-Signature`: the hexadecimal HMAC-SHA256, keyed with the shared token, over these lines:
timestamp, nonce, method, path, hexadecimal SHA-256 of the body.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping

CLOCK_TOLERANCE_SECONDS = 30.0
"""How far the clocks of monitor and restarter may differ."""

REMEMBERED_NONCES = 4096
NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")
TIMESTAMP = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
HOUR = 3600.0


class Refused(Exception):
    """The request is refused, with this HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def sign(token: bytes, timestamp: str, nonce: str, method: str, path: str, body: bytes) -> str:
    """The signature of a request."""
    digest = hashlib.sha256(body).hexdigest()
    text = "\n".join((timestamp, nonce, method, path, digest))
    return hmac.new(token, text.encode(), hashlib.sha256).hexdigest()


class Authenticator:
    """Checks signatures and remembers used nonces. Thread-safe.

    Requests signed before this process started are refused, because it does not have the nonces
    that were used until then.
    """

    def __init__(self, token: bytes, clock: Callable[[], float]) -> None:
        self._token = token
        self._clock = clock
        self._started_at = clock()
        self._used_nonces: dict[str, float] = {}
        self._lock = threading.Lock()

    def check(self, headers: Mapping[str, str], method: str, path: str, body: bytes) -> None:
        """Accept a request once; raises Refused."""
        timestamp = headers.get("X-Timestamp") or ""
        nonce = headers.get("X-Nonce") or ""
        signature = headers.get("X-Signature") or ""
        if not TIMESTAMP.fullmatch(timestamp) or not NONCE.fullmatch(nonce):
            raise Refused(401, "unsigned")
        expected = sign(self._token, timestamp, nonce, method, path, body)
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise Refused(401, "wrong signature")
        signed_at = float(timestamp)
        age = self._clock() - signed_at
        if abs(age) > CLOCK_TOLERANCE_SECONDS or signed_at < self._started_at:
            raise Refused(401, "signed too long ago, or the clocks differ")
        self._use(nonce, signed_at)

    def _use(self, nonce: str, signed_at: float) -> None:
        with self._lock:
            oldest = self._clock() - CLOCK_TOLERANCE_SECONDS
            self._used_nonces = {key: at for key, at in self._used_nonces.items() if at >= oldest}
            if nonce in self._used_nonces:
                raise Refused(401, "replayed")
            if len(self._used_nonces) >= REMEMBERED_NONCES:
                raise Refused(429, "too many requests")
            self._used_nonces[nonce] = signed_at


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
