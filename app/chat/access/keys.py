"""API keys: authentication of callers, their models and their limits.

`python3 -m app.chat.access.keys new NAME` makes a key from 256 random bits. Only its SHA-256 is
stored: with that many random bits, a hash cannot be reversed by trying keys.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.chat.access.rate_limit import MinuteBudget
from app.chat.openai.errors import ApiError
from app.chat.settings import KeyFile, KeyRecord

ANONYMOUS = "anonymous"
_KEY_PREFIX = "sk-"
_USAGE = "usage: python3 -m app.chat.access.keys new NAME"


class Caller:
    """The owner of one key, or every client if the gateway has no keys."""

    def __init__(self, record: KeyRecord | None, clock: Callable[[], float]) -> None:
        self.name = ANONYMOUS if record is None else record.name
        self.models = None if record is None or record.models is None else frozenset(record.models)
        self._concurrency = None if record is None else record.concurrency
        self._rpm = None if record is None else record.rpm
        self._budget = None if self._rpm is None else MinuteBudget(self._rpm, clock)
        self._running = 0

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Counts one request while it runs; raises ApiError 429 over the limits of the key."""
        if self._concurrency is not None and self._running >= self._concurrency:
            message = f"this key allows {self._concurrency} requests at once"
            raise ApiError(429, message, code="concurrency_limit", retry_after=2)
        wait = self._budget.take() if self._budget is not None else 0.0
        if wait:
            message = f"this key allows {self._rpm} requests per minute"
            raise ApiError(429, message, code="rate_limit_exceeded", retry_after=wait)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


class KeyRing:
    """The keys of the gateway; without a key file it needs no key."""

    def __init__(self, keys: KeyFile | None, clock: Callable[[], float]) -> None:
        self._anonymous = Caller(None, clock) if keys is None else None
        self._callers = [
            (bytes.fromhex(record.sha256), Caller(record, clock))
            for record in (keys.keys if keys is not None else ())
        ]

    def caller(self, authorization: str | None) -> Caller:
        """The caller with this Authorization header; raises ApiError 401."""
        if self._anonymous is not None:
            return self._anonymous
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            message = "an API key is required: send it as 'Authorization: Bearer …'"
            raise ApiError(401, message, code="missing_api_key")
        digest = hashlib.sha256(key.strip().encode()).digest()
        found = None
        # Compare with every key, so that the time does not depend on which one matches.
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        if found is None:
            raise ApiError(401, "invalid API key", code="invalid_api_key")
        return found


def new_key(name: str) -> tuple[str, KeyRecord]:
    """A new key, and its record for the key file; raises ValueError for an invalid name."""
    key = _KEY_PREFIX + secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    return key, KeyRecord(name=name, sha256=digest)


def main(arguments: list[str]) -> int:
    match arguments:
        case ["new", name]:
            pass
        case _:
            print(_USAGE, file=sys.stderr)
            return 2
    try:
        key, record = new_key(name)
    except ValueError:
        print(
            f"'{name}' is not a valid name; allowed: 1 to 64 letters, digits, '.', '_' or '-'",
            file=sys.stderr,
        )
        return 2
    entry = {"name": record.name, "sha256": record.sha256}
    print(f"API key, printed only now: {key}")
    print(f'Entry for "keys" in api_keys.json: {json.dumps(entry)}')
    print('Optional in the entry: "models": [names], "rpm": number, "concurrency": number.')
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
