"""Loads a stack's settings and the catalogue, and makes the plan of both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pulumi

from components.config.loading import load_settings
from components.config.problems import SettingsError
from components.kinds.catalogue import StackValues, load_catalogue
from components.plan.plan import Plan
from components.plan.validation import make_plan

CATALOGUE = Path("services.yaml")
MESSAGE_SHOWN = 32


def load_plan(stack: str) -> Plan:
    """The plan of a stack; raises `SettingsError` with the problems of all its files."""
    loaded = load_settings(stack)
    settings = loaded.settings.value
    assert settings is not None
    enabled = None if settings.services == "all" else settings.services
    values = StackValues(
        settings.defaults,
        settings.values,
        enabled,
        # Its list of exceptions names every service, so that none of them restarts the others.
        needs_all_names=settings.proxy is not None,
    )
    return make_plan(stack, loaded, load_catalogue(CATALOGUE, values))


@contextmanager
def refusals() -> Iterator[None]:
    """Ends the program at a `SettingsError`, with its text and nothing else."""
    try:
        yield
    except SettingsError as error:
        stop(str(error))


def stop(message: str) -> NoReturn:
    """Report an error to Pulumi, and end the program.

    After `pulumi.RunError`, Pulumi adds "an unhandled error occurred" to the text; after this exit
    code it does not (PYTHON_PROCESS_EXITED_AFTER_SHOWING_USER_ACTIONABLE_MESSAGE_CODE in Pulumi's
    pulumi-language-python-exec).
    """
    pulumi.log.error(message)
    raise SystemExit(MESSAGE_SHOWN)
