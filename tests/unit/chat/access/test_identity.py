"""Identities of Cloudflare Access: people are callers, and no other token passes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from pydantic import ValidationError

from app.chat.access.applications import watched_applications
from app.chat.access.identity import SigningKeys
from app.chat.access.keys import new_key
from app.chat.openai.errors import ApiError
from app.chat.settings import GatewaySettings, KeyFile, Secrets
from tests.doubles.access_team import AUDIENCE, TEAM, AccessTeam
from tests.doubles.model_server import ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
HEADER = "Cf-Access-Jwt-Assertion"
KEY, RECORD = new_key("machine")


@pytest.fixture
async def team() -> AsyncIterator[AccessTeam]:
    one = AccessTeam()
    runner = await one.start()
    yield one
    await runner.cleanup()


@pytest.fixture
async def client(server: ModelServer, team: AccessTeam) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway with one key, and one request per minute for each person."""
    access = {"team": TEAM, "audiences": [AUDIENCE], "rpm": 1}
    async with (
        running(
            settings(server.url, access=access),
            Secrets(KeyFile(keys=(RECORD,))),
            access_keys_url=team.url,
        ) as url,
        client_of(url) as one,
    ):
        yield one


async def ask(client: httpx.AsyncClient, token: str | None, **headers: str) -> tuple[int, str]:
    """The status and the code of the error of a chat."""
    if token is not None:
        headers[HEADER] = token
    response = await client.post("/v1/chat/completions", json=CHAT, headers=headers)
    return response.status_code, response.json().get("error", {}).get("code", "")


async def test_a_person_needs_no_key_and_has_limits_and_usage_of_their_own(
    client: httpx.AsyncClient, team: AccessTeam
) -> None:
    token = team.token(email="Jo@Example.com")
    assert await ask(client, token) == (200, "")
    assert await ask(client, token) == (429, "rate_limit_exceeded")
    assert await ask(client, team.token(email="li@example.com")) == (200, "")
    page = await client.get("/status", headers={HEADER: token})
    assert page.status_code == 200
    usage = (await client.get("/v1/usage", headers={HEADER: token})).json()
    assert "jo@example.com" in json.dumps(usage)
    assert team.requests == 1


async def test_without_an_identity_a_key_is_needed(
    client: httpx.AsyncClient, team: AccessTeam
) -> None:
    assert await ask(client, None) == (401, "missing_api_key")
    machine = team.token(email=None, common_name="x.access")
    assert await ask(client, machine) == (401, "missing_api_key")
    assert await ask(client, machine, Authorization=f"Bearer {KEY}") == (200, "")


def unsigned(claims: dict[str, Any], head: dict[str, str], secret: bytes | None) -> str:
    """A token as an attacker writes it, whom no library stops."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, claims)
    ]
    signed = b".".join(parts)
    mac = b"" if secret is None else hmac.new(secret, signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


FORGED: dict[str, Callable[[AccessTeam], str]] = {
    "no token": lambda team: "x",
    "an empty one": lambda team: "",
    "another key": lambda team: forged_by_another(team),
    "expired": lambda team: team.token(exp=int(time.time()) - 60),
    "without an end": lambda team: team.token(exp=None),
    "not valid yet": lambda team: team.token(nbf=int(time.time()) + 600),
    "another audience": lambda team: team.token(aud=["b" * 64]),
    "another issuer": lambda team: team.token(iss="https://other.cloudflareaccess.com"),
    "alg none": lambda team: unsigned(team.claims(), {"alg": "none", "kid": team.key_id}, None),
    "the public key as a secret": lambda team: unsigned(
        team.claims(), {"alg": "HS256", "kid": team.key_id}, team.public_pem
    ),
    "an unknown key": lambda team: unsigned(team.claims(), {"alg": "RS256", "kid": "x"}, b"x"),
    "a changed claim": lambda team: changed(team.token()),
}


def forged_by_another(team: AccessTeam) -> str:
    other = AccessTeam()
    other.rotate("other")
    other.key_id = team.key_id
    return other.token()


def changed(token: str) -> str:
    head, claims, signature = token.split(".")
    content = jwt.decode(token, options={"verify_signature": False})
    content["email"] = "admin@example.com"
    claims = base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
    return f"{head}.{claims}.{signature}"


@pytest.mark.parametrize("kind", FORGED)
async def test_a_token_that_is_not_valid_gets_401_also_beside_a_key(
    client: httpx.AsyncClient, server: ModelServer, team: AccessTeam, kind: str
) -> None:
    token = FORGED[kind](team)
    assert await ask(client, token) == (401, "invalid_access_token")
    allowed = {"Authorization": f"Bearer {KEY}"}
    assert await ask(client, token, **allowed) == (401, "invalid_access_token")
    assert not server.received


async def test_without_signing_keys_no_identity_passes(
    client: httpx.AsyncClient, team: AccessTeam
) -> None:
    team.status = 500
    assert await ask(client, team.token()) == (503, "access_keys_unavailable")
    assert await ask(client, None, Authorization=f"Bearer {KEY}") == (200, "")


async def test_keys_are_kept_while_they_cannot_be_read_and_rotated_at_most_every_ten_seconds(
    team: AccessTeam,
) -> None:
    now = [0.0]
    keys = SigningKeys(team.url, lambda: now[0])
    assert await keys.key("first") is not None
    for _ in range(20):
        assert await keys.key("forged") is None
    assert team.requests == 1
    team.status = 503
    now[0] = 4000.0
    assert await keys.key("first") is not None
    team.status = 200
    team.rotate("second")
    assert await keys.key("second") is None
    now[0] += 11
    assert await keys.key("second") is not None
    assert await keys.key("first") is None


@pytest.mark.parametrize(
    "listed", [{}, [], {"keys": [1]}, {"keys": []}, {"keys": [{"kty": "RSA"}]}]
)
async def test_a_list_of_another_form_has_no_keys(team: AccessTeam, listed: Any) -> None:
    team.listed = listed
    with pytest.raises(ApiError) as failed:
        await SigningKeys(team.url).key("first")
    assert failed.value.status == 503


async def _logged(
    server: ModelServer, team: AccessTeam, caplog: pytest.LogCaptureFixture, **access: Any
) -> tuple[list[str], str]:
    """The keys in the log after two people asked, one of them twice; and the metrics."""
    caplog.set_level(logging.INFO)
    configuration = settings(server.url, access={"team": TEAM, "audiences": [AUDIENCE], **access})
    async with running(configuration, access_keys_url=team.url) as url, client_of(url) as client:
        for email in ("jo@example.com", "jo@example.com", "li@example.com"):
            assert await ask(client, team.token(email=email)) == (200, "")
        metrics = (await client.get("/metrics")).text
    lines = [one for one in caplog.records if one.getMessage() == "request"]
    asked = [line.__dict__["fields"] for line in lines]
    return [fields["key"] for fields in asked if fields["method"] == "POST"], metrics


async def test_addresses_are_neither_in_the_log_nor_in_metrics(
    server: ModelServer, team: AccessTeam, caplog: pytest.LogCaptureFixture
) -> None:
    keys, metrics = await _logged(server, team, caplog)
    assert keys[0] == keys[1] != keys[2]
    assert all(key.startswith("cloudflare access ") for key in keys)
    assert "@" not in caplog.text + "".join(keys) + metrics
    assert 'key="cloudflare access"' in metrics


async def test_a_stack_may_have_addresses_in_its_log(
    server: ModelServer, team: AccessTeam, caplog: pytest.LogCaptureFixture
) -> None:
    keys, metrics = await _logged(server, team, caplog, log_emails=True)
    assert keys == ["jo@example.com", "jo@example.com", "li@example.com"]
    assert "@" not in metrics


async def test_applications_that_change_count_without_a_restart(
    server: ModelServer, team: AccessTeam, tmp_path: Path
) -> None:
    file = tmp_path / "access.json"
    file.write_text(json.dumps({"team": "other", "audiences": ["b" * 64]}))
    watched = watched_applications(str(file), seconds=0.05)
    configuration = settings(server.url, access={"applications": str(file)})
    configuration = configuration.with_applications(watched.first())
    async with (
        running(configuration, applications=watched, access_keys_url=team.url) as url,
        client_of(url) as client,
    ):
        token = team.token()
        assert await ask(client, token) == (401, "invalid_access_token")
        file.write_text(json.dumps({"team": TEAM, "audiences": [AUDIENCE]}))
        while (await ask(client, token))[0] == 401:
            pass
        assert await ask(client, token) == (200, "")
        assert 'gateway_file_valid{file="access.json"} 1.0' in (await client.get("/metrics")).text


def test_access_needs_its_applications() -> None:
    with pytest.raises(ValidationError, match="needs team and audiences, or applications"):
        GatewaySettings.model_validate({"access": {"team": TEAM}})
