"""What a service waits for: `depends_on`, and its policy: `restart`."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.unit.components.config.compose.container_entry import problem, service


@pytest.mark.parametrize(
    ("depends_on", "conditions"),
    [
        (["db", "cache"], {"db": "service_started", "cache": "service_started"}),
        ({"db": {"condition": "service_healthy"}}, {"db": "service_healthy"}),
        (
            {"setup": {"condition": "service_completed_successfully"}, "db": {}},
            {"setup": "service_completed_successfully", "db": "service_started"},
        ),
        ([], {}),
    ],
)
def test_dependencies_are_a_list_or_a_map(depends_on: Any, conditions: dict[str, str]) -> None:
    found = service(depends_on=depends_on).depends_on
    assert {name: one.condition.value for name, one in found.items()} == conditions


@pytest.mark.parametrize(
    ("depends_on", "text"),
    [
        (
            {"db": {"condition": "healthy"}},
            "depends_on.db.condition: is not a valid value; found 'healthy'; did you mean "
            "'service_healthy'? allowed: service_completed_successfully, service_healthy, "
            "service_started",
        ),
        (
            {"db": {"condition": "service_healthy", "restart": True}},
            "depends_on.db.restart: unknown key; allowed: condition",
        ),
        (
            [{"db": {}}],
            "depends_on: has an entry that is not a name; found [{'db': {}}]; allowed: a list of "
            "names, or a map",
        ),
        ("db", "depends_on: is not a mapping; found 'db'; allowed: key: value"),
    ],
)
def test_dependencies_of_another_form_are_refused(depends_on: Any, text: str) -> None:
    assert problem(depends_on=depends_on) == text


@pytest.mark.parametrize(
    ("text", "policy", "is_job"),
    [
        ("restart: no", "no", True),
        ('restart: "no"', "no", True),
        ("restart: always", "always", False),
        ("restart: on-failure", "on-failure", False),
        ("{}", "unless-stopped", False),
    ],
)
def test_a_job_is_a_service_that_is_not_restarted(text: str, policy: str, is_job: bool) -> None:
    found = service(**yaml.safe_load(text))
    assert (found.restart, found.is_job) == (policy, is_job)


@pytest.mark.parametrize("value", [True, "never", "on-failure:3"])
def test_another_policy_is_refused(value: Any) -> None:
    text = problem(restart=value)
    assert text.startswith(f"restart: is not a valid value; found {value!r}; ")
    assert text.endswith("allowed: always, no, on-failure, unless-stopped")
