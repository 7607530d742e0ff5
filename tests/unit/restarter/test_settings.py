"""The restarter's settings: what is accepted, and the text of each error."""

import json
from pathlib import Path

import pytest

from app.restarter.allowed_services import AllowedServices
from app.restarter.settings import SettingsError, load, read_token


def test_a_stack_and_its_services_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "restarter.json"
    path.write_text(json.dumps({"stack": "dev", "services": ["phi-inference"]}))
    settings = load({"RESTARTER_CONFIG": str(path)})
    assert (settings.stack, settings.services) == ("dev", ("phi-inference",))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ([], "must hold a JSON object"),
        ({"stack": "dev"}, "found none or both of services and service_list"),
        ({"stack": "dev", "services": "a"}, "services: found 'a'"),
        ({"services": ["a"]}, "stack: found None; allowed: a name"),
        ({"stack": "dev", "services": ["../a"]}, "services: found '../a'"),
        ({"stack": "dev", "services": ["a"], "port": "x"}, "port: found 'x'"),
        ({"stack": "dev", "services": ["a"], "verbs": []}, "verbs: unknown key; allowed: stack,"),
    ],
)
def test_an_invalid_file_is_an_error(tmp_path: Path, data: object, error: str) -> None:
    path = tmp_path / "restarter.json"
    path.write_text(json.dumps(data))
    with pytest.raises(SettingsError) as caught:
        load({"RESTARTER_CONFIG": str(path)})
    assert error in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load({"RESTARTER_CONFIG": str(tmp_path / "none")})


def test_a_short_or_missing_token_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(SettingsError, match="cannot be read"):
        read_token(str(path))
    path.write_text("short")
    with pytest.raises(SettingsError, match="shorter than 32 bytes"):
        read_token(str(path))
    path.write_text("x" * 32 + "\n")
    assert read_token(str(path)) == b"x" * 32


def test_a_changed_list_counts_from_the_next_request(tmp_path: Path) -> None:
    path = tmp_path / "restartable.json"
    path.write_text(json.dumps({"services": ["phi"]}))
    problems: list[str] = []
    allowed = AllowedServices(str(path), problems.append)
    assert allowed() == ("phi",)
    path.write_text(json.dumps({"services": ["phi", "qwen"]}))
    assert allowed() == ("phi", "qwen")
    assert not problems


@pytest.mark.parametrize(
    "broken", ["", '{"services": ["x"', "[]", "{}", '{"services": ["../a"]}', None]
)
def test_an_invalid_list_allows_no_other_service_and_is_reported_once(
    tmp_path: Path, broken: str | None
) -> None:
    path = tmp_path / "restartable.json"
    path.write_text(json.dumps({"services": ["phi"]}))
    problems: list[str] = []
    allowed = AllowedServices(str(path), problems.append)
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken)
    assert [allowed(), allowed()] == [("phi",), ("phi",)]
    assert len(problems) == 1
    assert str(path) in problems[0]


def test_without_a_valid_list_the_restarter_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.restarter.allowed_services.START_SECONDS", 0)
    with pytest.raises(SettingsError, match="cannot be read as JSON"):
        AllowedServices(str(tmp_path / "none"), lambda problem: None)
