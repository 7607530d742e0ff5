"""The health check that the engine runs: `healthcheck`, and what the monitor asks: `health`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.components.config.compose.container_entry import problem, service

TEST = "allowed: text for a shell, [CMD, program, …], [CMD-SHELL, line] or [NONE]"


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        ({"test": "curl -f localhost || exit 1"}, ("CMD-SHELL", "curl -f localhost || exit 1")),
        ({"test": ["CMD", "pg_isready", "-U", "app"]}, ("CMD", "pg_isready", "-U", "app")),
        (
            {"test": ["CMD", "nc", "-z", "localhost", 5432]},
            ("CMD", "nc", "-z", "localhost", "5432"),
        ),
        ({"test": ["CMD-SHELL", "exit 0"]}, ("CMD-SHELL", "exit 0")),
        ({"test": ["NONE"]}, ("NONE",)),
        ({"disable": True}, ("NONE",)),
        ({"disable": True, "test": "true"}, ("NONE",)),
    ],
)
def test_a_test_is_a_line_or_a_command(settings: Any, command: tuple[str, ...]) -> None:
    check = service(healthcheck=settings).healthcheck
    assert check is not None
    assert check.command == command


def test_what_is_left_out_is_the_default_of_docker() -> None:
    check = service(healthcheck={"test": "true"}).healthcheck
    assert check is not None
    times = (check.interval, check.timeout, check.retries, check.start_period)
    assert times == (30, 30, 3, 0)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "healthcheck: does not have a test; allowed: test, or disable: true"),
        (
            {"interval": "5s"},
            "healthcheck: does not have a test; allowed: test, or disable: true",
        ),
        (
            {"test": ["curl", "localhost"]},
            f"healthcheck.test: is not a valid test; found ['curl', 'localhost']; {TEST}",
        ),
        ({"test": ["CMD"]}, f"healthcheck.test: is not a valid test; found ['CMD']; {TEST}"),
        (
            {"test": ["CMD-SHELL", "a", "b"]},
            f"healthcheck.test: is not a valid test; found ['CMD-SHELL', 'a', 'b']; {TEST}",
        ),
        ({"test": 7}, f"healthcheck.test: is not a valid test; found 7; {TEST}"),
        (
            {"test": "true", "retries": 0},
            "healthcheck.retries: is too small; found 0; allowed: at least 1",
        ),
        (
            {"test": "true", "start_interval": "1s"},
            "healthcheck.start_interval: unknown key; did you mean 'interval'? allowed: disable, "
            "interval, retries, start_period, test, timeout",
        ),
    ],
)
def test_a_health_check_of_another_form_is_refused(settings: Any, text: str) -> None:
    assert problem(healthcheck=settings) == text


@pytest.mark.parametrize(
    ("keys", "check"),
    [
        ({}, "none"),
        ({"port": 80}, "tcp"),
        ({"port": 80, "health": "tcp"}, "tcp"),
        ({"port": 80, "health": "/ready?deep=1"}, "/ready?deep=1"),
        ({"port": 80, "health": "none"}, "none"),
        ({"health": "none"}, "none"),
        ({"port": 80, "health": "/ready", "restart": "no"}, "none"),
    ],
)
def test_the_monitor_asks_what_the_entry_names(keys: dict[str, Any], check: str) -> None:
    assert service(**keys).check == check
    asked = service(**keys).health_check("app")
    if check == "none":
        assert asked is None
    elif check == "tcp":
        assert asked == {"kind": "tcp", "url": "tcp://app:80"}
    else:
        assert asked == {"kind": "http", "url": f"http://app:80{check}"}


@pytest.mark.parametrize(
    ("health", "text"),
    [
        (
            "ready",
            "health: is not a valid health check; found 'ready'; allowed: a path such as /health, "
            "tcp, none",
        ),
    ],
)
def test_a_check_of_another_form_is_refused(health: str, text: str) -> None:
    assert problem(health=health, port=80) == text
