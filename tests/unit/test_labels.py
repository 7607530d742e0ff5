"""The names of labels: the parts that cannot import each other have the same."""

from __future__ import annotations

from app.restarter import engine
from components.runtime import labels
from policy import rules
from toolchain.stack import containers


def test_every_part_has_the_same_names() -> None:
    assert engine.STACK_LABEL == labels.STACK
    assert {engine.SERVICE_LABEL, rules.SERVICE_LABEL, containers.SERVICE_LABEL} == {labels.SERVICE}
    assert containers.STACK_LABEL.partition("=")[0] == labels.STACK
