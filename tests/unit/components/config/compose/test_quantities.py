"""Sizes and durations."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.components.config.compose.container_entry import problem, service

KIB, MIB, GIB = 1024, 1024**2, 1024**3


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64m", 64 * MIB),
        ("64M", 64 * MIB),
        ("64mb", 64 * MIB),
        ("64MiB", 64 * MIB),
        ("64 MB", 64 * MIB),
        ("1.5g", 3 * GIB // 2),
        ("8k", 8 * KIB),
        ("100b", 100),
        ("100", 100),
        (100, 100),
    ],
)
def test_a_size_has_binary_units(text: Any, size: int) -> None:
    assert service(shm_size=text).shm_size == size


@pytest.mark.parametrize("text", ["", "0", 0, "0m", "0.1", "-1m", "1t", "m", "1.m", True, 1.5, [1]])
def test_a_size_of_another_form_is_refused(text: Any) -> None:
    assert problem(shm_size=text) == (
        f"shm_size: is not a valid size; found {text!r}; allowed: a number with k, m or g, such as "
        "64m"
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("2h", 7200), ("1h1m1s", 3661), ("90m", 5400), (15, 15)],
)
def test_a_duration_is_in_whole_seconds(text: Any, seconds: int) -> None:
    check = service(healthcheck={"test": "true", "interval": text}).healthcheck
    assert check is not None
    assert check.interval == seconds


@pytest.mark.parametrize("text", ["", "500ms", "1.5s", "30", "30s1m", "1d", "-1s", True, 0, 1.5])
def test_a_duration_of_another_form_is_refused(text: Any) -> None:
    assert problem(healthcheck={"test": "true", "timeout": text}) == (
        f"healthcheck.timeout: is not a valid duration; found {text!r}; allowed: whole seconds or "
        "more, such as 1m30s"
    )
