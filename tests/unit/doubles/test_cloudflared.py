"""The double of cloudflared parses its command line like version 2026.8.2."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from components.tunnel.tunnel import CONNECTED, METRICS_FLAGS
from tests.doubles.cloudflare_plan import same
from tests.doubles.cloudflare_provider import _camel, _snake
from tests.doubles.cloudflare_schema import APPLICATION

DOUBLE = Path(__file__).parents[2] / "doubles/cloudflared/cloudflared.py"
RUN = [*METRICS_FLAGS, "run"]


def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DOUBLE), *args],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize(
    "misplaced",
    [
        ["tunnel", "run", "--metrics", "0.0.0.0:20241"],
        ["tunnel", "ready", "--metrics", "127.0.0.1:20241"],
        ["tunnel", "--token-file", "/run/secrets/tunnel_token", "run"],
        ["tunnel", "--no-such-flag"],
    ],
)
def test_a_misplaced_flag_prints_the_help_and_exits_with_0(misplaced: list[str]) -> None:
    answer = run(*misplaced)
    assert answer.returncode == 0
    assert "flag provided but not defined" in answer.stdout


def test_the_health_check_of_the_project_has_no_misplaced_flag() -> None:
    """Nothing listens on the port: the right form fails, a wrong one would pass."""
    command = list(CONNECTED.test)
    assert command[:2] == ["CMD", "cloudflared"]
    assert run(*command[2:]).returncode == 1


@pytest.mark.parametrize(
    "content",
    [
        "garbage",
        base64.b64encode(b'{"a":"x"}').decode(),
        base64.b64encode(
            json.dumps({"a": "x", "t": "no uuid", "s": base64.b64encode(b"s").decode()}).encode()
        ).decode(),
    ],
)
def test_an_invalid_token_exits_with_255(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    answer = run(*RUN, TUNNEL_TOKEN_FILE=str(file))
    assert answer.returncode == 255
    assert "Provided Tunnel token is not valid." in answer.stderr
    assert content not in answer.stderr + answer.stdout


def test_a_missing_token_exits_with_255(tmp_path: Path) -> None:
    assert run(*RUN).returncode == 255
    missing = run(*RUN, TUNNEL_TOKEN_FILE=str(tmp_path / "none"))
    assert missing.returncode == 255
    assert "Failed to read token file" in missing.stderr


def test_a_token_in_the_environment_overrides_the_file(tmp_path: Path) -> None:
    parts = {"a": "x", "t": str(uuid.uuid4()), "s": base64.b64encode(b"s").decode()}
    file = tmp_path / "token"
    file.write_text(base64.b64encode(json.dumps(parts).encode()).decode(), encoding="utf-8")
    assert run(*RUN, TUNNEL_TOKEN="garbage", TUNNEL_TOKEN_FILE=str(file)).returncode == 255


def test_names_are_converted_between_pulumi_and_the_api() -> None:
    for ours, theirs in {
        "configSrc": "config_src",
        "includes": "include",
        "serviceAuth401Redirect": "service_auth_401_redirect",
        "emailDomain": "email_domain",
    }.items():
        assert _snake(ours) == theirs
        assert _camel(theirs) == ours


def test_a_missing_value_equals_null() -> None:
    assert same(APPLICATION, "corsHeaders", {"maxAge": 1, "allowedHeaders": None}, {"maxAge": 1})
    assert not same(APPLICATION, "corsHeaders", {"maxAge": 1}, {"maxAge": 2})
    assert not same(APPLICATION, "policies", [{"precedence": 1}], [])


def test_the_order_of_a_set_has_no_meaning() -> None:
    assert same(APPLICATION, "allowedIdps", ["one", "other"], ["other", "one"])
    assert not same(APPLICATION, "customPages", ["one", "other"], ["other", "one"])
