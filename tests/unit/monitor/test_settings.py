"""The monitor's settings: what is accepted, and how the rest is refused."""

import json
from pathlib import Path

import pytest

from app.monitor.load_settings import load_settings
from app.monitor.settings import Kind, Settings
from app.shared.settings_file import SettingsError
from tests.unit.monitor.conftest import LogLines


def write(folder: Path, **changes: object) -> dict[str, str]:
    data = {
        "stack": "dev",
        "services": [
            {"name": "phi-inference", "kind": "inference", "url": "http://phi-inference:8000"},
            {
                "name": "chat-interface",
                "kind": "chat",
                "url": "http://chat-interface:8080",
                "depends_on": ["phi-inference"],
            },
        ],
    }
    path = folder / "monitor.json"
    path.write_text(json.dumps(data | changes))
    return {"MONITOR_CONFIG": str(path)}


def service(**changes: object) -> dict[str, object]:
    return {"name": "a", "url": "http://a:1"} | changes


def test_a_stack_needs_little_more_than_the_urls_of_its_services(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path))
    assert [entry.kind for entry in settings.services] == [Kind.INFERENCE, Kind.CHAT]
    assert settings.interval == 30
    assert settings.services[0].base_url == "http://phi-inference:8000"


def test_a_single_service_is_configured_by_environment_alone() -> None:
    settings = load_settings({"SERVER_URL": "http://web:81/up", "CHECK_INTERVAL": "7"})
    assert (settings.services[0].base_url, settings.interval) == ("http://web:81/up", 7)
    assert not settings.restarts.enabled


def test_defaults_of_the_environment_are_those_of_the_source_design(log_lines: LogLines) -> None:
    settings = load_settings({})
    assert settings.services[0].base_url == "http://localhost:8080/health"
    assert settings.interval == 30
    (line,) = log_lines()
    assert (line["message"], line["level"]) == ("tunnel is not checked", "warning")
    assert "TUNNEL_METRICS_URL is not set" in line["reason"]


def test_a_tunnel_in_the_environment_is_a_second_service() -> None:
    settings = load_settings({"TUNNEL_METRICS_URL": "http://cloudflared:20241"})
    assert [entry.name for entry in settings.services] == ["server", "tunnel"]
    assert settings.services[1].kind is Kind.CONNECTOR


def test_a_switched_off_tunnel_is_not_mentioned(log_lines: LogLines) -> None:
    settings = load_settings(
        {"TUNNEL_ENABLED": "false", "TUNNEL_METRICS_URL": "http://cloudflared:20241"}
    )
    assert len(settings.services) == 1
    assert log_lines() == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"intervall": 5},
            "intervall: Extra inputs are not permitted; allowed: alerts, chat, hosts, internal, interval, maintenance,",
        ),
        ({"interval": 0}, "interval: Input should be greater than or equal to 1; found 0"),
        ({"services": []}, "services: found none; allowed: at least one, or service_list"),
        ({"services": [service(), service()]}, "the name 'a' is used twice"),
        ({"services": [service(kind="database")]}, "found 'database'"),
        ({"services": [service(url="a:1")]}, "services.0.url"),
        ({"services": [service(name="../a")]}, "services.0.name: String should match"),
        (
            {"services": [service(depends_on=["b"])]},
            "a: depends_on: there is no service 'b'; allowed: a",
        ),
        (
            {"services": [service(depends_on=["b"]), service(name="b", depends_on=["a"])]},
            "depends_on is circular: a -> b -> a",
        ),
        ({"services": [service(expect={"max_seconds": 5})]}, "services.0.expect.max_seconds"),
    ],
)
def test_a_faulty_file_is_refused_with_file_and_key(
    tmp_path: Path, changes: dict[str, object], text: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, **changes))
    assert text in str(caught.value)
    assert str(tmp_path / "monitor.json") in str(caught.value)


def test_a_file_that_is_named_but_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_settings({"MONITOR_CONFIG": str(tmp_path / "none.json")})


@pytest.mark.parametrize("key", ["CHECK_INTERVAL", "TUNNEL_ENABLED"])
def test_a_faulty_environment_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match=f"environment: {key}: .*; found 'soon'"):
        load_settings({key: "soon"})


def test_the_settings_have_no_field_for_a_secret_url() -> None:
    assert "url" not in Settings.model_fields["alerts"].annotation.model_fields  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": "tcp"}, "http://a:1/ does not fit kind tcp"),
        ({"url": "tcp://a:1"}, "tcp://a:1 does not fit kind http"),
        ({"kind": "tcp", "url": "tcp://a"}, "tcp://a has no port"),
    ],
)
def test_a_url_must_fit_its_kind(tmp_path: Path, changes: dict[str, object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        load_settings(write(tmp_path, services=[service(**changes)]))
