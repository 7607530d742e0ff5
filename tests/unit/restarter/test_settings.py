"""The restarter's settings: what is accepted, and the text of each error."""

import json
from pathlib import Path

import pytest

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
        ({"stack": "dev"}, "services: found None;"),
        ({"stack": "dev", "services": []}, "services: found []"),
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
