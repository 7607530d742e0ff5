"""Client of the restarter: requests the restart of a service, by a signed request.

The restarter is the only container with the Docker socket. The signature is HMAC-SHA256 by the
shared token over a challenge of the restarter's, method, path and the SHA-256 of the body, one a
line; the restarter's module `authentication` checks the same. No clock takes part.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from pathlib import Path

from app.monitor.checks.http_client import HttpClient, HttpResponse, NoResponse
from app.monitor.decisions.records import PendingRestart, RestartOutcome, RestartResult
from app.monitor.settings import RestartSettings, Service

# The restarter waits for the container to stop, which may take minutes.
RESTART_WITHIN = 660.0
SHORT_REQUEST_WITHIN = 5.0
RESTART_PATH = "/restart"
# Without a line break, which would make other lines of the text that is signed.
CHALLENGE = re.compile(r"[A-Za-z0-9._-]{16,200}")
TOKEN_FILE = Path("/run/secrets/restarter_token")
LONGEST_REASON = 500


class RestarterClient:
    """Client of one restarter."""

    def __init__(self, settings: RestartSettings, http_client: HttpClient) -> None:
        self._url = str(settings.url).rstrip("/")
        self._http_client = http_client

    async def restart(self, service: Service, pending: PendingRestart) -> RestartResult:
        """Request the restart once, and wait for the result; an error is a result too."""
        try:
            body = _body(service, pending)
            challenge = await self._challenge()
            if challenge is None:
                return RestartResult(RestartOutcome.REFUSED, "the restarter issued no challenge")
            headers = signed(_token(), "POST", RESTART_PATH, body, challenge)
            response = await self._http_client.post(
                self._url + RESTART_PATH, RESTART_WITHIN, data=body, headers=headers
            )
        except OSError as error:
            reason = f"the token cannot be read: {error.strerror}"
            return RestartResult(RestartOutcome.REFUSED, reason)
        except NoResponse as error:
            return RestartResult(RestartOutcome.UNREACHABLE, f"the restarter: {error}")
        return read_result(response)

    async def _challenge(self) -> str | None:
        response = await self._http_client.get(f"{self._url}/challenge", SHORT_REQUEST_WITHIN)
        challenge = response.member("challenge")
        valid = isinstance(challenge, str) and CHALLENGE.fullmatch(challenge)
        return str(challenge) if valid else None

    async def works(self) -> bool:
        """Whether the restarter responds, and reaches Docker."""
        try:
            response = await self._http_client.get(f"{self._url}/health", SHORT_REQUEST_WITHIN)
        except NoResponse:
            return False
        return response.status == 200


def _token() -> bytes:
    return TOKEN_FILE.read_bytes().strip()


def _body(service: Service, pending: PendingRestart) -> bytes:
    return json.dumps(
        {
            "service": service.name,
            "reason": pending.reason[:LONGEST_REASON],
            "failing_since": pending.failing_since,
            "known_start": pending.known_start,
            "second_opinion": pending.second_opinion,
        }
    ).encode()


def signed(token: bytes, method: str, path: str, body: bytes, challenge: str) -> Mapping[str, str]:
    """The headers of a request that the restarter accepts once."""
    digest = hashlib.sha256(body).hexdigest()
    text = "\n".join((challenge, method, path, digest))
    signature = hmac.new(token, text.encode(), hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Challenge": challenge,
        "X-Signature": signature,
    }


def read_result(response: HttpResponse) -> RestartResult:
    """The result in a response of the restarter."""
    data = response.json
    if not isinstance(data, dict):
        reason = f"the restarter returned HTTP {response.status}"
        return RestartResult(RestartOutcome.REFUSED, reason)
    if response.status != 200:
        reason = f"HTTP {response.status}: {data.get('error')}"
        return RestartResult(RestartOutcome.REFUSED, reason)
    try:
        outcome = RestartOutcome(str(data.get("outcome")))
    except ValueError:
        reason = f"unknown outcome {data.get('outcome')!r}"
        return RestartResult(RestartOutcome.REFUSED, reason)
    return RestartResult(
        outcome,
        str(data.get("detail", "")),
        started_at=_number(data.get("started_at")),
        wait=_number(data.get("wait")),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
