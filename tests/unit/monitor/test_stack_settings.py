"""What a stack can set of its monitor has the same bounds and defaults here as in components/."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from app.monitor import settings as monitor
from components.config import maintenance
from components.config import monitor as stack
from components.config.alerts import WebhookFormat
from components.kinds.service import Expect

Fields = dict[str, dict[str, Any]]

NOT_COMPARED = {"title", "description"}


def fields(model: type[BaseModel]) -> Fields:
    """The JSON schema of each field, under its name in monitor.json."""
    found = model.model_json_schema()["properties"]
    return {_snake_case(name): _without_texts(schema) for name, schema in found.items()}


def _snake_case(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


def _without_texts(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {k: _without_texts(v) for k, v in schema.items() if k not in NOT_COMPARED}
    return [_without_texts(part) for part in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize(
    ("of_stack", "of_monitor", "written_by_the_deployment", "of_stack_alone"),
    [
        (stack.Thresholds, monitor.Thresholds, set(), set()),
        (stack.RestartPolicy, monitor.RestartSettings, {"enabled", "url"}, set()),
        (
            stack.AlertSettings,
            monitor.AlertSettings,
            {"webhooks", "heartbeat_url_file"},
            {"formats"},
        ),
        (Expect, monitor.Expectation, set(), set()),
    ],
)
def test_each_field_has_the_same_bounds_and_default(
    of_stack: type[BaseModel],
    of_monitor: type[BaseModel],
    written_by_the_deployment: set[str],
    of_stack_alone: set[str],
) -> None:
    ours, theirs = fields(of_monitor), fields(of_stack)
    assert set(ours) - set(theirs) == written_by_the_deployment
    assert set(theirs) - set(ours) == of_stack_alone
    for name in set(ours) & set(theirs):
        assert ours[name] == theirs[name], name


@pytest.mark.parametrize("name", ["interval", "hosts"])
def test_a_field_of_the_whole_has_the_same_bounds_and_default(name: str) -> None:
    assert fields(monitor.Settings)[name] == fields(stack.MonitorSettings)[name]


def test_maintenance_has_the_same_days_and_the_same_longest_duration() -> None:
    assert [*maintenance.Weekday] == [*monitor.WEEKDAYS]
    assert maintenance.LONGEST == monitor.LONGEST_MAINTENANCE
    assert fields(maintenance.MaintenanceWindow).keys() == fields(monitor.MaintenanceWindow).keys()


def test_the_formats_of_webhooks_are_the_same() -> None:
    schemas = [
        _without_texts(TypeAdapter(formats).json_schema())
        for formats in (monitor.WebhookFormat, WebhookFormat)
    ]
    assert schemas[0] == schemas[1]
