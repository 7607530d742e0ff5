"""Settings of the inference container: environment variables."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, not re-exported
    validate_repo_id,
)
from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from app.shared.settings_file import Strict, validated

ServedName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]

# An unknown variable with one of these prefixes is an error: it is a misspelt setting.
OWN_PREFIXES = ("MODEL_", "MODELS_")


class Settings(Strict):
    """The model to serve, and how; each field has the environment variable of its name."""

    model_config = ConfigDict(alias_generator=str.upper)

    model_name: ServedName
    """The model id that clients send and `/v1/models` shows."""
    model_repository: str | None = None
    """`owner/name` on the model hub; together with `model_file`."""
    model_file: str | None = None
    model_revision: str = "main"
    """A commit, tag or branch; only a commit is guaranteed to stay the same."""
    model_path: Path | None = None
    """A model file inside the container; instead of `model_repository`."""
    model_sha256: Sha256 | None = None
    model_sha256_unknown: bool = False
    """Accept any file: its digest is logged and not compared."""
    models_dir: Path = Path("/models")
    context_size: int = Field(default=4096, ge=256, le=4_194_304)
    """Tokens per conversation, prompt and answer together."""
    slots: int = Field(default=1, ge=1, le=256)
    """Requests processed at the same time."""
    threads: int = Field(default=0, ge=0, le=1024)
    """0: as many as the container has CPUs."""
    port: int = Field(default=8000, ge=1, le=65535)
    status_port: int = Field(default=8001, ge=1, le=65535)
    """Port on which the container reports whether it is draining."""
    drain_seconds: int = Field(default=20, ge=0, le=86_400)
    """After SIGTERM, for running requests to finish; Docker's stop timeout has to be longer."""
    hf_endpoint: str = Field(default="https://huggingface.co", pattern=r"^https?://[^\s/]+")
    hf_token_file: Path = Path("/run/secrets/hf_token")
    extra_ca_file: Path | None = None
    """PEM file with certificate authorities to trust, in addition to those of the image."""

    @field_validator("model_path", "models_dir", "hf_token_file", "extra_ca_file")
    @classmethod
    def _is_absolute(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_absolute():
            raise ValueError("must be an absolute path, such as /models/phi.gguf")
        return path

    @field_validator("model_repository")
    @classmethod
    def _is_a_repository_name(cls, repository: str | None) -> str | None:
        if repository is not None:
            validate_repo_id(repository)
        return repository

    @field_validator("model_file")
    @classmethod
    def _is_a_gguf_path(cls, name: str | None) -> str | None:
        if name is not None:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or path.suffix != ".gguf":
                raise ValueError("must be the path of a .gguf file inside its repository")
        return name

    @field_validator("hf_endpoint")
    @classmethod
    def _without_trailing_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.port == self.status_port:
            raise ValueError("PORT and STATUS_PORT are the same; choose two")
        return self

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        hub = (self.model_repository, self.model_file)
        if self.model_path is not None and any(hub):
            raise ValueError(
                "MODEL_PATH and MODEL_REPOSITORY/MODEL_FILE are both set; keep one source"
            )
        if self.model_path is None and not all(hub):
            raise ValueError("set MODEL_REPOSITORY and MODEL_FILE (a hub), or MODEL_PATH (a file)")
        return self

    @model_validator(mode="after")
    def _has_one_digest_setting(self) -> Self:
        if self.model_sha256 is None and not self.model_sha256_unknown:
            raise ValueError(
                "MODEL_SHA256 is missing; set it, or MODEL_SHA256_UNKNOWN=true to accept any file"
            )
        if self.model_sha256 is not None and self.model_sha256_unknown:
            raise ValueError("MODEL_SHA256 and MODEL_SHA256_UNKNOWN are both set; keep one")
        return self


SETTING_NAMES = frozenset(field.alias or name for name, field in Settings.model_fields.items())


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Validate the environment; an empty variable counts as unset.

    Raises SettingsError with all problems, a line for each variable.
    """
    given = {
        name: value
        for name, value in environment.items()
        if value != "" and (name in SETTING_NAMES or name.startswith(OWN_PREFIXES))
    }
    return validated(given, Settings, "environment")
