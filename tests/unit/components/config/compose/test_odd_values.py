"""Values that no key expects: each is refused as a problem, and never with a traceback."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from components.config.problems import Source
from components.config.schema import read
from components.kinds.container import ContainerService

ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, float("nan"), 10**30, "", "\n", "a:b:c:d", b"x", "x" * 1000),
    *([], [None], [True], [[1]], [{}], [{"source": "a"}], {}, {"a": None}, {"a": ["b"]}),
    *({"a": {"b": "c"}}, {1: 2}, {None: "x"}, datetime.date(2026, 1, 1)),
)


@pytest.mark.parametrize("key", [*ContainerService.model_fields, "unknown", 7])
def test_an_odd_value_is_a_problem_or_is_taken(key: str | int) -> None:
    for value in ODD:
        entry = {"kind": "container", "image": "redis:7", key: value}
        found = read(ContainerService, entry, Source("services.yaml"), at=("services", "app"))
        place = "services.yaml: services.app"
        assert all(str(problem).startswith(place) for problem in found.problems), value
        if not found.problems:
            assert found.value is not None
            found.value._options()
