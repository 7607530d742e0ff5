"""Health checks, jobs, restarts, and the order of starts."""

from __future__ import annotations

import pytest

from tests.unit.toolchain.compose.conftest import Importing, changed, outcome


def test_the_times_of_a_health_check(compose: Importing) -> None:
    one = outcome(
        compose(
            """
            services:
              app:
                image: a:1
                healthcheck:
                  {test: "true", interval: 500ms, timeout: 1m30s, retries: "${R:-7}", start_period: 20m,
                   start_interval: 1s}
            """
        ),
        "app",
    )
    assert one.entry["healthcheck"] == {
        "test": "true",
        "interval": "1s",
        "timeout": "1m30s",
        "start_period": "20m",
        "retries": 7,
    }
    assert one.entry["start_timeout"] == 1260
    assert "start_interval: left out" in changed(one)


@pytest.mark.parametrize("check", ["{disable: true}", "{test: [NONE]}"])
def test_a_health_check_that_is_off(compose: Importing, check: str) -> None:
    one = outcome(compose(f"services: {{app: {{image: 'a:1', healthcheck: {check}}}}}"), "app")
    assert one.entry["healthcheck"] == {"disable": True}


def test_times_without_a_test(compose: Importing) -> None:
    one = outcome(compose("services: {app: {image: 'a:1', healthcheck: {interval: 5s}}}"), "app")
    assert "healthcheck" not in one.entry
    assert "it has no test of its own" in changed(one)


@pytest.mark.parametrize(
    ("keys", "restart"),
    [
        ("restart: unless-stopped", None),
        ("restart: always", "always"),
        ("restart: on-failure", "on-failure"),
        ("restart: 'on-failure:5'", "on-failure"),
        ("command: serve", None),
        ("restart: 'no'", "no"),
        ("restart: no, command: migrate", "no"),
        ("restart: 'no', ports: ['80:80']", None),
        ("entrypoint: /bin/sh, command: [-c, 'sleep 3; ollama pull x']", "no"),
        ("entrypoint: /bin/sh, command: [-c, 'migrate && exec serve']", None),
    ],
)
def test_restarts_and_jobs(compose: Importing, keys: str, restart: str | None) -> None:
    one = outcome(compose(f"services: {{app: {{image: 'a:1', {keys}}}}}"), "app")
    assert one.entry.get("restart") == restart


def test_a_job_has_no_port_to_check(compose: Importing) -> None:
    done = compose(
        """
        services:
          init: {image: 'postgres:17', command: [psql]}
          app: {image: 'a:1', depends_on: {init: {condition: service_completed_successfully}}}
        """
    )
    assert outcome(done, "init").entry["restart"] == "no"
    assert "port" not in outcome(done, "init").entry
    assert outcome(done, "app").entry["depends_on"] == {
        "init": {"condition": "service_completed_successfully"}
    }


def test_dependencies(compose: Importing) -> None:
    done = compose(
        """
        services:
          db_one: {image: 'a:1'}
          off: {image: 'a:1', profiles: [other]}
          open: {image: 'a:1', privileged: true}
          app:
            image: a:1
            profiles: [mine]
            depends_on:
              db_one: {condition: service_healthy, restart: true}
              off: {condition: service_started, required: false}
              open: {condition: service_started}
          web: {image: 'a:1', depends_on: [db_one]}
        """,
        profiles=["mine"],
    )
    one = outcome(done, "app")
    assert one.entry["depends_on"] == {"db-one": {"condition": "service_healthy"}}
    assert "depends_on off: left out" in changed(one)
    assert "depends_on open: left out" in changed(one)
    assert outcome(done, "web").entry["depends_on"] == ["db-one"]


def test_stops(compose: Importing) -> None:
    one = outcome(
        compose("services: {app: {image: 'a:1', stop_grace_period: 1m30s, init: true}}"), "app"
    )
    assert (one.entry["stop_grace"], one.entry["init"]) == (90, True)
