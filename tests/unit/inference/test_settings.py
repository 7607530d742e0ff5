"""Settings of the inference container: what is accepted, and the text of each error."""

from pathlib import Path
from typing import Any

import pytest

from app.inference.settings import ModelSettings, load_settings
from app.shared.settings_file import SettingsError
from tests.unit.inference.conftest import write_config

DIGEST = "ab" * 32
HUB = {
    "repository": "microsoft/Phi-3-mini-4k-instruct-gguf",
    "file": "Phi-3-mini-4k-instruct-q4.gguf",
    "sha256": DIGEST,
}


def problem_of(tmp_path: Path, *files: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        load_settings({"MODEL_CONFIG": str(write_config(tmp_path, *files, **changes))})
    return str(raised.value)


def test_a_hub_model_needs_no_more_than_its_name_and_source(tmp_path: Path) -> None:
    settings, model = load_settings({"MODEL_CONFIG": str(write_config(tmp_path, HUB))})
    assert isinstance(model, ModelSettings)
    assert model.files[0].revision == "main"
    assert (model.context, model.slots, model.threads) == (4096, 1, 0)
    assert (settings.port, str(settings.models_dir)) == (8000, "/models")
    assert str(settings.hf_token_file) == "/run/secrets/hf_token"


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    settings, _ = load_settings({"MODEL_CONFIG": str(write_config(tmp_path, HUB)), "PORT": ""})
    assert settings.port == 8000


def test_variables_of_other_programs_are_ignored(tmp_path: Path) -> None:
    config = str(write_config(tmp_path, HUB))
    assert load_settings({"MODEL_CONFIG": config, "PATH": "/bin", "OMP_NUM_THREADS": "2"})


def test_a_digest_may_be_written_in_capitals(tmp_path: Path) -> None:
    config = write_config(tmp_path, {**HUB, "sha256": DIGEST.upper()})
    _, model = load_settings({"MODEL_CONFIG": str(config)})
    assert isinstance(model, ModelSettings)
    assert model.files[0].sha256 == DIGEST


def test_messages_call_each_file_by_its_role_and_number(tmp_path: Path) -> None:
    files = [
        HUB,
        {**HUB, "role": "draft"},
        {**HUB, "role": "model"},
        {**HUB, "role": "adapter"},
        {**HUB, "role": "projector"},
    ]
    _, model = load_settings({"MODEL_CONFIG": str(write_config(tmp_path, *files))})
    assert isinstance(model, ModelSettings)
    assert [label for label, _ in model.labelled_files()] == [
        "part 1 of 2 of the model",
        "part 2 of 2 of the model",
        "the projector",
        "the adapter",
        "the draft model",
    ]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"repo": "x/y"}, "files.0.repo: Extra inputs are not permitted; allowed: file, path,"),
        ({"role": "part"}, "files.0.role: Input should be 'model', 'projector', 'adapter' or"),
        ({"file": None}, "files.0: set repository and file (a hub), or path (a local file)"),
        ({"file": "../x.gguf"}, "files.0.file: must be the path of a .gguf file inside its"),
        ({"file": "model.safetensors"}, "found 'model.safetensors'"),
        ({"repository": "a/b/c"}, "files.0.repository: Repo id must be in the form"),
        ({"path": "/opt/models/tiny.gguf"}, "path and repository/file are both set"),
        ({"path": "tiny.gguf"}, "files.0.path: must be an absolute path"),
        ({"sha256": "abc"}, "files.0.sha256: String should match pattern"),
    ],
)
def test_a_problem_of_a_file_names_its_key(
    tmp_path: Path, changes: dict[str, Any], error: str
) -> None:
    [line] = problem_of(tmp_path, HUB | changes).splitlines()
    assert line.startswith(f"{tmp_path}/model.json: files.0")
    assert error in line


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": "a,b"}, "name: String should match pattern"),
        ({"files": []}, "files: has no file with role model"),
        ({"files": [{**HUB, "role": "draft"}]}, "files: has no file with role model"),
        (
            {"files": [HUB, *[{**HUB, "role": "draft"}] * 2]},
            "files: has more than one file with role draft",
        ),
        ({"context": "lots"}, "found 'lots'"),
        ({"slots": 0}, "slots: Input should be greater than or equal to 1; found 0"),
        ({"hub": "huggingface.co"}, "hub: String should match pattern"),
        ({"task": "speech"}, "task: Input should be 'chat', 'embedding' or 'rerank'"),
        ({"chat_template": "x.jinja"}, "chat_template: there is no such file beside it"),
    ],
)
def test_a_problem_of_the_model_names_its_key(
    tmp_path: Path, changes: dict[str, Any], error: str
) -> None:
    [line] = problem_of(tmp_path, *changes.pop("files", [HUB]), **changes).splitlines()
    assert line.startswith(f"{tmp_path}/model.json: ")
    assert error in line


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    slots, context = problem_of(tmp_path, HUB, slots=0, context=0).splitlines()
    assert "context: " in slots
    assert "slots: " in context


@pytest.mark.parametrize(
    ("variables", "error"),
    [
        ({"PORT": "70000"}, "PORT: Input should be less than or equal to 65535; found '70000'"),
        ({"MODELS_DIR": "models"}, "MODELS_DIR: must be an absolute path"),
        ({"PORT": "8001"}, "PORT and STATUS_PORT are the same"),
    ],
)
def test_a_problem_names_its_variable(variables: dict[str, str], error: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(variables)
    [line] = str(raised.value).splitlines()
    assert line.startswith("environment: ")
    assert error in line


def test_a_missing_model_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.json: cannot be read"):
        load_settings({"MODEL_CONFIG": str(tmp_path / "none.json")})
