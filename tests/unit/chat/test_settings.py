"""Settings of the gateway: what is accepted, and the text of each error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.chat.settings import GatewaySettings, load_secrets, load_settings
from app.shared.settings_file import SettingsError

MODEL = {"id": "phi-3-mini", "replicas": ["http://phi-inference:8000"]}


def load(folder: Path, content: Any) -> GatewaySettings:
    path = folder / "gateway.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return load_settings({"GATEWAY_CONFIG": str(path)})


def test_an_example_is_accepted(tmp_path: Path) -> None:
    placeholder = {"model": "tiny", "reason": "no model hub could be reached"}
    model = {**MODEL, "description": "…", "context": 4096, "slots": 2, "placeholder": placeholder}
    settings = load(tmp_path, {"models": [model], "limits": {}})
    assert settings.models[0].placeholder is not None
    assert settings.models[0].placeholder.model == "tiny"
    assert settings.limits.queue == 64


def test_without_a_file_there_are_defaults_and_no_model() -> None:
    assert load_settings({}).models == ()


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings({"GATEWAY_CONFIG": str(tmp_path / "nowhere.json")})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ({"model": []}, r"model: .*allowed: .*models"),
        ({"limits": {"que": 1}}, r"limits\.que: .*allowed: .*queue"),
        ({"models": [{**MODEL, "slot": 2}]}, r"models\.0\.slot: .*allowed: .*slots"),
        ({"models": [{**MODEL, "slots": 0}]}, r"models\.0\.slots: .*found 0"),
        ({"models": [{**MODEL, "replicas": []}]}, r"models\.0\.replicas"),
        ({"models": [{**MODEL, "replicas": ["phi:8000"]}]}, r"replicas\.0: .*found 'phi:8000'"),
        ({"models": [{**MODEL, "id": "auto"}]}, r"models\.0\.id: .*auto"),
        ({"models": [MODEL, MODEL]}, "'phi-3-mini' is listed twice"),
        ({"cors_origins": ["*"]}, r"cors_origins\.0: .*found '\*'"),
        ({"keep_alive": {"interval": 200}}, r"keep_alive\.interval: .*found 200"),
    ],
)
def test_a_problem_names_file_key_and_value(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        load(tmp_path, content)
    assert "gateway.json" in str(caught.value)


def test_absent_secrets_are_none(tmp_path: Path) -> None:
    secrets = load_secrets({"SECRETS_DIR": str(tmp_path)})
    assert secrets.api_keys is None
    assert secrets.github_token is None


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"keys": []}', '{"keys": [{"name": "a", "sha256": "sk-notahash"}]}'],
)
def test_an_invalid_key_file_is_an_error_that_shows_no_value(tmp_path: Path, content: str) -> None:
    (tmp_path / "api_keys.json").write_text(content)
    with pytest.raises(SettingsError) as caught:
        load_secrets({"SECRETS_DIR": str(tmp_path)})
    assert "sk-notahash" not in str(caught.value)


def test_the_github_token_is_read_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "gh_models_token").write_text("ghp_x\n")
    assert load_secrets({"SECRETS_DIR": str(tmp_path)}).github_token == "ghp_x"
