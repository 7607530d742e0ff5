"""Settings of the inference container: what is accepted, and the text of each error."""

import pytest

from app.inference.settings import load_settings
from app.shared.settings_file import SettingsError

DIGEST = "ab" * 32
HUB = {
    "MODEL_NAME": "phi-3-mini",
    "MODEL_REPOSITORY": "microsoft/Phi-3-mini-4k-instruct-gguf",
    "MODEL_FILE": "Phi-3-mini-4k-instruct-q4.gguf",
    "MODEL_SHA256": DIGEST,
}
LOCAL = {"MODEL_NAME": "tiny", "MODEL_PATH": "/opt/models/tiny.gguf", "MODEL_SHA256": DIGEST}


def test_a_hub_model_needs_no_more_than_its_name_source_and_digest() -> None:
    settings = load_settings(HUB)
    assert settings.model_revision == "main"
    assert (settings.context_size, settings.slots, settings.threads) == (4096, 1, 0)
    assert (settings.port, str(settings.models_dir)) == (8000, "/models")
    assert str(settings.hf_token_file) == "/run/secrets/hf_token"


def test_an_empty_variable_counts_as_unset() -> None:
    settings = load_settings(LOCAL | {"MODEL_REPOSITORY": "", "MODEL_FILE": "", "SLOTS": ""})
    assert settings.model_repository is None
    assert settings.slots == 1


def test_variables_of_other_programs_are_ignored() -> None:
    assert load_settings(HUB | {"PATH": "/bin", "HF_HOME": "/tmp", "OMP_NUM_THREADS": "2"})


def test_a_digest_may_be_written_in_capitals() -> None:
    assert load_settings(HUB | {"MODEL_SHA256": DIGEST.upper()}).model_sha256 == DIGEST


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"MODEL_NAME": ""}, "MODEL_NAME: Field required"),
        ({"MODEL_NAME": "a,b"}, "MODEL_NAME: String should match pattern"),
        (
            {"MODEL_REPO": "x/y"},
            "MODEL_REPO: Extra inputs are not permitted; allowed: CONTEXT_SIZE, DRAIN_SECONDS,",
        ),
        ({"MODEL_FILE": ""}, "set MODEL_REPOSITORY and MODEL_FILE (a hub), or MODEL_PATH (a file)"),
        ({"MODEL_FILE": "../x.gguf"}, "MODEL_FILE: must be the path of a .gguf file inside its"),
        ({"MODEL_FILE": "model.safetensors"}, "found 'model.safetensors'"),
        ({"MODEL_REPOSITORY": "a/b/c"}, "MODEL_REPOSITORY: Repo id must be in the form"),
        ({"MODEL_PATH": "/opt/models/tiny.gguf"}, "MODEL_PATH and MODEL_REPOSITORY/MODEL_FILE are"),
        ({"MODEL_SHA256": "abc"}, "MODEL_SHA256: String should match pattern"),
        ({"MODEL_SHA256": ""}, "MODEL_SHA256 is missing; set it, or MODEL_SHA256_UNKNOWN=true"),
        ({"MODEL_SHA256_UNKNOWN": "true"}, "MODEL_SHA256 and MODEL_SHA256_UNKNOWN are both set"),
        ({"MODELS_DIR": "models"}, "MODELS_DIR: must be an absolute path"),
        ({"CONTEXT_SIZE": "lots"}, "found 'lots'"),
        ({"SLOTS": "0"}, "SLOTS: Input should be greater than or equal to 1; found '0'"),
        ({"THREADS": "-1"}, "THREADS: Input should be greater than or equal to 0; found '-1'"),
        ({"PORT": "70000"}, "PORT: Input should be less than or equal to 65535; found '70000'"),
        ({"HF_ENDPOINT": "huggingface.co"}, "HF_ENDPOINT: String should match pattern"),
    ],
)
def test_a_problem_names_its_variable(changes: dict[str, str], error: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(HUB | changes)
    [line] = str(raised.value).splitlines()
    assert line.startswith("environment: ")
    assert error in line


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(HUB | {"SLOTS": "0", "PORT": "0"})
    slots, port = str(raised.value).splitlines()
    assert slots.startswith("environment: SLOTS: ")
    assert port.startswith("environment: PORT: ")
