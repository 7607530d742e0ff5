"""Settings of the gateway: what is accepted, and the text of each error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.chat.settings import GatewaySettings, load_secrets, load_settings
from app.shared.settings_file import SettingsError

MODEL = {"id": "phi-3-mini", "replicas": ["http://phi-inference:8000"]}
SERVER = {"name": "vllm", "urls": ["http://vllm:8000"]}


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
        ({"servers": [SERVER, SERVER]}, "the server 'vllm' is listed twice"),
        ({"servers": [{**SERVER, "urls": []}]}, r"servers\.0\.urls"),
        ({"servers": [{**SERVER, "models": []}]}, r"servers\.0\.models: is empty"),
        ({"servers": [{**SERVER, "models": ["auto"]}]}, r"servers\.0\.models: .*auto"),
        ({"servers": [{**SERVER, "models": ["a b"]}]}, r"servers\.0\.models\.0: .*found 'a b'"),
        ({"servers": [{**SERVER, "tasks": []}]}, r"servers\.0\.tasks"),
        ({"servers": [{**SERVER, "tasks": ["talk"]}]}, r"servers\.0\.tasks\.0: .*'embedding'"),
        ({"servers": [{**SERVER, "path": "v1"}]}, r"servers\.0\.path: .*found 'v1'"),
        ({"servers": [{**SERVER, "concurrency": 0}]}, r"servers\.0\.concurrency: .*found 0"),
        ({"cors_origins": ["example.com"]}, r"cors_origins\.0: .*found 'example\.com'"),
        ({"hosts": ["https://a.example"]}, r"hosts\.0: .*found 'https://a\.example'"),
        ({"keep_alive": {"interval": 200}}, r"keep_alive\.interval: .*found 200"),
    ],
)
def test_a_problem_names_file_key_and_value(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        load(tmp_path, content)
    assert "gateway.json" in str(caught.value)


def test_without_secret_files_there_are_no_keys(tmp_path: Path) -> None:
    secrets = load_secrets(GatewaySettings(), {"SECRETS_DIR": str(tmp_path)})
    assert secrets.api_keys is None
    assert secrets.upstream_keys == {}


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"keys": []}', '{"keys": [{"name": "a", "sha256": "sk-notahash"}]}'],
)
def test_an_invalid_key_file_is_an_error_that_shows_no_value(tmp_path: Path, content: str) -> None:
    (tmp_path / "api_keys.json").write_text(content)
    with pytest.raises(SettingsError) as caught:
        load_secrets(GatewaySettings(), {"SECRETS_DIR": str(tmp_path)})
    assert "sk-notahash" not in str(caught.value)


def keys_in(folder: Path, server: dict[str, Any]) -> dict[str, str]:
    settings = GatewaySettings.model_validate({"servers": [server]})
    return dict(load_secrets(settings, {"SECRETS_DIR": str(folder)}).upstream_keys)


def test_the_key_of_a_server_is_read_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "upstream-vllm").write_text("sk-x\n")
    assert keys_in(tmp_path, {**SERVER, "api_key_file": "upstream-vllm"}) == {
        "upstream-vllm": "sk-x"
    }


@pytest.mark.parametrize("content", [None, "", " \n", "sk-one\nsk-two", "sk-\x07", "sk-ä", "a b"])
def test_a_missing_or_invalid_key_of_a_server_is_an_error_that_does_not_show_it(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "upstream-vllm").write_text(content)
    with pytest.raises(SettingsError, match="upstream-vllm: ") as caught:
        keys_in(tmp_path, {**SERVER, "api_key_file": "upstream-vllm"})
    assert "sk-" not in str(caught.value)


def test_a_key_file_is_in_the_secrets_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"servers\.0\.api_key_file"):
        load(tmp_path, {"servers": [{**SERVER, "api_key_file": "../passwd"}]})
