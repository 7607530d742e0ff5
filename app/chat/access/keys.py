"""API keys: authentication of callers, and the command that makes a key.

`python3 -m app.chat.access.keys new NAME` makes a key from 256 random bits. Only its SHA-256 is
stored: with that many random bits, a hash cannot be reversed by trying keys.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from app.chat.access.caller import Caller, TokensToday
from app.chat.openai.errors import ApiError
from app.chat.settings import CallerLimits, KeyFile, KeyRecord

ANONYMOUS = "anonymous"
_KEY_PREFIX = "sk-"


@dataclass(frozen=True)
class _Key:
    digest: bytes
    expires: float | None
    """Seconds since the epoch."""
    caller: Caller


class KeyRing:
    """The keys of the gateway; without a key file it needs no key."""

    def __init__(
        self,
        keys: KeyFile | None,
        clock: Callable[[], float],
        tokens_today: TokensToday = lambda name: 0,
    ) -> None:
        self._clock = clock
        self._tokens_today = tokens_today
        self._keys: tuple[_Key, ...] = ()
        self._anonymous: Caller | None = None
        if keys is None:
            self._anonymous = Caller(ANONYMOUS, CallerLimits(), clock, tokens_today, anonymous=True)
        else:
            self.replace(keys)

    @property
    def open(self) -> bool:
        """Whether clients need no key."""
        return self._anonymous is not None

    def replace(self, keys: KeyFile | None) -> None:
        """Use other keys from now on. A key that keeps its name keeps what it has used.

        :param keys: None keeps those of now.
        """
        if keys is None:
            return
        present = {key.caller.name: key.caller for key in self._keys}
        self._keys = tuple(self._key(record, present.get(record.name)) for record in keys.keys)
        self._anonymous = None

    def _key(self, record: KeyRecord, caller: Caller | None) -> _Key:
        if caller is None:
            caller = Caller(record.name, record, self._clock, self._tokens_today)
        else:
            caller.update(record)
        expires = None if record.expires is None else record.expires.timestamp()
        return _Key(bytes.fromhex(record.sha256), expires, caller)

    def caller(self, authorization: str | None) -> Caller:
        """The caller with this Authorization header; raises ApiError 401."""
        if self._anonymous is not None:
            return self._anonymous
        scheme, _, sent = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not sent:
            message = "an API key is required: send it as 'Authorization: Bearer …'"
            raise ApiError(401, message, code="missing_api_key")
        digest = hashlib.sha256(sent.strip().encode()).digest()
        found = None
        # Compare with every key, so that the time does not depend on which one matches.
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        if found is None:
            raise ApiError(401, "invalid API key", code="invalid_api_key")
        if found.expires is not None and time.time() >= found.expires:
            raise ApiError(401, "this API key has expired", code="expired_api_key")
        return found.caller


def new_key(name: str, **limits: Any) -> tuple[str, KeyRecord]:
    """A new key, and its record for the key file; raises ValidationError for invalid values."""
    key = _KEY_PREFIX + secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    return key, KeyRecord(name=name, sha256=digest, **limits)


def main(arguments: list[str]) -> int:
    parser = _parser()
    try:
        options = vars(parser.parse_args(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)
    options.pop("command")
    given = {name: value for name, value in options.items() if value is not None}
    if days := given.pop("days", None):
        now = datetime.now(UTC).replace(microsecond=0)
        given["expires"] = now + timedelta(days=days)
    try:
        key, record = new_key(**given)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            field = ".".join(str(part) for part in problem["loc"])
            print(f"{field}: {_reason(field, problem['msg'])}", file=sys.stderr)
        return 2
    entry = record.model_dump(mode="json", exclude_defaults=True)
    print(f"API key, printed only now: {key}")
    print(f'Entry for "keys" in api_keys.json: {json.dumps(entry)}')
    return 0


def _reason(field: str, message: str) -> str:
    if field == "name":
        return "is not a valid name; allowed: 1 to 64 letters, digits, '.', '_' or '-'"
    return message


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m app.chat.access.keys", description="API keys of the gateway."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="make a key, and its entry for api_keys.json")
    new.add_argument("name", metavar="NAME", help="the name of its owner in logs and figures")
    new.add_argument("--models", nargs="+", metavar="MODEL", help="only these models")
    new.add_argument("--rpm", type=int, metavar="N", help="requests per minute")
    new.add_argument("--concurrency", type=int, metavar="N", help="requests at once")
    new.add_argument("--tokens-per-minute", type=int, metavar="N")
    new.add_argument("--tokens-per-day", type=int, metavar="N", help="a day begins at 0:00 UTC")
    new.add_argument(
        "--priority", type=int, metavar="N", help="its share in relation to others: 1 to 100"
    )
    end = new.add_mutually_exclusive_group()
    end.add_argument("--expires", metavar="TIME", help="for example 2030-01-31T00:00:00Z")
    end.add_argument("--days", type=int, metavar="N", help="until the key expires")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
