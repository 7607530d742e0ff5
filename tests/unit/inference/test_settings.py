"""Settings: what is accepted, and what a person who made a mistake is told."""

import pytest

from app.inference.failure import ExitCode, Failure
from app.inference.settings import read_settings

DIGEST = "ab" * 32
HUB = {
    "MODEL_NAME": "phi-3-mini",
    "MODEL_REPOSITORY": "microsoft/Phi-3-mini-4k-instruct-gguf",
    "MODEL_FILE": "Phi-3-mini-4k-instruct-q4.gguf",
    "MODEL_SHA256": DIGEST,
}
LOCAL = {"MODEL_NAME": "tiny", "MODEL_PATH": "/opt/models/tiny.gguf", "MODEL_SHA256": DIGEST}


def test_a_hub_model_needs_no_more_than_its_name_source_and_digest() -> None:
    settings = read_settings(HUB)
    assert settings.model_revision == "main"
    assert (settings.context_size, settings.slots, settings.threads) == (4096, 1, 0)
    assert (settings.port, str(settings.models_dir)) == (8000, "/models")
    assert str(settings.hf_token_file) == "/run/secrets/hf_token"


def test_an_empty_variable_counts_as_unset() -> None:
    settings = read_settings(LOCAL | {"MODEL_REPOSITORY": "", "MODEL_FILE": "", "SLOTS": ""})
    assert settings.model_repository is None
    assert settings.slots == 1


def test_what_other_programs_read_from_the_environment_is_left_alone() -> None:
    assert read_settings(HUB | {"PATH": "/bin", "HF_HOME": "/tmp", "OMP_NUM_THREADS": "2"})


def test_a_digest_may_be_written_in_capitals() -> None:
    assert read_settings(HUB | {"MODEL_SHA256": DIGEST.upper()}).model_sha256 == DIGEST


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"MODEL_NAME": ""}, "MODEL_NAME: is required and not set"),
        ({"MODEL_NAME": "a,b"}, "MODEL_NAME: String should match pattern"),
        ({"MODEL_REPO": "x/y"}, "MODEL_REPO: is not a setting"),
        ({"MODEL_FILE": ""}, "set MODEL_REPOSITORY and MODEL_FILE (a hub), or MODEL_PATH (a file)"),
        ({"MODEL_FILE": "../x.gguf"}, "MODEL_FILE: must be the path of a .gguf file inside its"),
        ({"MODEL_FILE": "model.safetensors"}, "found 'model.safetensors'"),
        ({"MODEL_REPOSITORY": "a/b/c"}, "MODEL_REPOSITORY: Repo id must be in the form"),
        ({"MODEL_PATH": "/opt/models/tiny.gguf"}, "MODEL_PATH and MODEL_REPOSITORY/MODEL_FILE are"),
        ({"MODEL_SHA256": "abc"}, "MODEL_SHA256: String should match pattern"),
        ({"MODEL_SHA256": ""}, "MODEL_SHA256 is missing; set it, or MODEL_SHA256_UNKNOWN=true"),
        ({"MODEL_SHA256_UNKNOWN": "true"}, "MODEL_SHA256 is set although MODEL_SHA256_UNKNOWN"),
        ({"MODELS_DIR": "models"}, "MODELS_DIR: must be an absolute path"),
        ({"CONTEXT_SIZE": "lots"}, "found 'lots'"),
        ({"SLOTS": "0"}, "SLOTS: Input should be greater than or equal to 1, found '0'"),
        ({"THREADS": "-1"}, "THREADS: Input should be greater than or equal to 0, found '-1'"),
        ({"PORT": "70000"}, "PORT: Input should be less than or equal to 65535, found '70000'"),
        ({"HF_ENDPOINT": "huggingface.co"}, "HF_ENDPOINT: String should match pattern"),
    ],
)
def test_a_mistake_is_named_with_its_variable_and_ends_with_code_2(
    changes: dict[str, str], said: str
) -> None:
    with pytest.raises(Failure) as failed:
        read_settings(HUB | changes)
    assert failed.value.code == ExitCode.BAD_SETTINGS == 2
    assert said in failed.value.error
    assert "CONTEXT_SIZE" in failed.value.what_to_do, "the allowed settings are listed"


def test_several_mistakes_are_told_at_once() -> None:
    with pytest.raises(Failure, match=r"SLOTS: .*; PORT: "):
        read_settings(HUB | {"SLOTS": "0", "PORT": "0"})
