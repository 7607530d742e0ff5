"""Services of kind `external`: what is accepted, and what the monitor asks of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.monitor.settings import Settings
from components.config.problems import Source
from components.config.schema import read
from components.kinds.external import ExternalService
from tests.doubles.recording_engine import StackRunner

SERVICE: dict[str, Any] = {
    "kind": "external",
    "url": "http://192.0.2.7:8000/",
    "serves": {"models": ["a"]},
}


def service(**serves: Any) -> ExternalService:
    return ExternalService.model_validate({**SERVICE, "serves": serves})


def test_the_monitor_asks_a_health_path_that_needs_no_key() -> None:
    assert service(health="/health").health_check("") == {
        "kind": "http",
        "url": "http://192.0.2.7:8000/health",
    }
    assert service(health="/health", api_key="key").health_check("") is None
    assert service().health_check("") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"url": "192.0.2.7"}, "services.far.url: is not a valid URL; found '192.0.2.7'; "),
        ({"serves": {"path": "v1"}}, "services.far.serves.path: is not a valid path"),
        ({"memory": "1GiB"}, "services.far.memory: unknown key"),
        (
            {"expect": {"status": [204]}},
            "services.far: has expect, but the monitor does not check it; allowed: expect with "
            "serves.health and without serves.api_key",
        ),
    ],
    ids=["url", "path", "limit", "expect"],
)
def test_a_problem_names_the_key(content: dict[str, Any], message: str) -> None:
    reading = read(
        ExternalService, {**SERVICE, **content}, Source("services.yaml"), at=("services", "far")
    )
    (found,) = reading.problems
    assert message in str(found)


def test_a_password_in_a_url_is_refused_and_not_shown() -> None:
    content = {**SERVICE, "url": "https://me:hunter2@example.com"}
    (found,) = read(ExternalService, content, Source("services.yaml")).problems
    assert "has a user name or a password" in str(found)
    assert "hunter2" not in str(found)


def test_the_monitor_checks_it_and_restarts_nothing(
    run_program: StackRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "services.yaml"
    path.write_text(
        "services:\n"
        "  chat-interface: {kind: chat, description: Chat, memory: 1GiB, cpus: 1}\n"
        "  far: {kind: external, url: 'http://192.0.2.7:8000', serves: {health: /health}}\n"
    )
    monkeypatch.setattr("components.plan.loading.CATALOGUE", path)
    graph = run_program({"services": "all", "monitor": {"socketGroup": 999}})
    assert "far" not in graph.running
    services = Settings.model_validate(graph.settings("monitor")).services
    chat, far = services
    assert (str(far.url), far.kind, far.restart) == ("http://192.0.2.7:8000/health", "http", False)
    assert chat.restart
    assert chat.depends_on == ("far",)
