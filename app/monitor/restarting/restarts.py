"""Asks the restarter, the one container with the Docker socket, to restart a service.

Each request is signed: HMAC-SHA256 by the shared token over timestamp, nonce, method, path and
the SHA-256 of the body, in lines. The restarter's `gate` checks the same.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from app.monitor.checks.fetch import Answer, Fetcher, NoAnswer
from app.monitor.decisions.decisions import Outcome, Pending, RestartAnswer
from app.monitor.settings import RestartSettings, Service

# The container is given its own stop timeout to end in, which may be minutes.
ANSWER_WITHIN = 660.0
PATH = "/restart"
TOKEN_FILE = Path("/run/secrets/restarter_token")


class RestarterClient:
    """Talks to one restarter."""

    def __init__(self, rules: RestartSettings, fetcher: Fetcher) -> None:
        self._url = str(rules.url).rstrip("/")
        self._fetcher = fetcher

    async def restart(self, service: Service, pending: Pending) -> RestartAnswer:
        """Ask for it once, and wait for the outcome. Whatever goes wrong is an outcome too."""
        try:
            body = _body(service, pending)
            headers = signed(_token(), "POST", PATH, body, time.time())
            answer = await self._fetcher.post(
                self._url + PATH, ANSWER_WITHIN, data=body, headers=headers
            )
        except OSError as error:
            return RestartAnswer(Outcome.REFUSED, f"no token to sign with: {error.strerror}")
        except NoAnswer as fault:
            return RestartAnswer(Outcome.UNREACHABLE, f"the restarter: {fault}")
        return read_answer(answer)

    async def works(self) -> bool:
        """Whether the restarter answers, and reaches Docker."""
        try:
            return (await self._fetcher.get(f"{self._url}/health", 5.0)).status == 200
        except NoAnswer:
            return False


def _token() -> bytes:
    return TOKEN_FILE.read_bytes().strip()


def _body(service: Service, pending: Pending) -> bytes:
    return json.dumps(
        {
            "service": service.name,
            "reason": pending.reason[:500],
            "failing_since": pending.failing_since,
            "known_start": pending.known_start,
            "second_opinion": pending.second_opinion,
        }
    ).encode()


def signed(token: bytes, method: str, path: str, body: bytes, now: float) -> Mapping[str, str]:
    """The headers that let a request through the restarter's gate, once."""
    timestamp, nonce = f"{now:.6f}", secrets.token_urlsafe(24)
    digest = hashlib.sha256(body).hexdigest()
    text = "\n".join((timestamp, nonce, method, path, digest))
    signature = hmac.new(token, text.encode(), hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Timestamp": timestamp,
        "X-Nonce": nonce,
        "X-Signature": signature,
    }


def read_answer(answer: Answer) -> RestartAnswer:
    """The outcome that an answer of the restarter tells."""
    data = answer.content
    if not isinstance(data, dict):
        return RestartAnswer(Outcome.REFUSED, f"the restarter answered HTTP {answer.status}")
    if answer.status != 200:
        return RestartAnswer(Outcome.REFUSED, f"HTTP {answer.status}: {data.get('error')}")
    try:
        outcome = Outcome(str(data.get("outcome")))
    except ValueError:
        return RestartAnswer(Outcome.REFUSED, f"unknown outcome {data.get('outcome')!r}")
    return RestartAnswer(
        outcome,
        str(data.get("detail", "")),
        started_at=_number(data.get("started_at")),
        wait=_number(data.get("wait")),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
