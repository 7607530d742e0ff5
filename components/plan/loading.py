"""Loads a stack's settings and the catalogue, and makes the plan of both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pulumi

from components.config.problems import SettingsError
from components.config.stack_settings import load_settings
from components.kinds.catalogue import load_catalogue
from components.plan.plan import Plan, make_plan

CATALOGUE = Path("services.yaml")


def load_plan(stack: str) -> Plan:
    """The plan of a stack; raises `SettingsError` with the problems of all its files."""
    return make_plan(stack, load_settings(stack), load_catalogue(CATALOGUE))


@contextmanager
def refusals() -> Iterator[None]:
    """Turns a `SettingsError` into an error that Pulumi prints without a traceback."""
    try:
        yield
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None
