"""Settings of the inference container: environment variables, validated before all else."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, not re-exported
    validate_repo_id,
)
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from app.inference.failure import ExitCode, Failure

ServedName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]

# A variable with one of these beginnings that is no setting is a misspelt one.
OWN_PREFIXES = ("MODEL_", "MODELS_")


class Settings(BaseModel):
    """What to serve and how; a field is read from the variable of its name in upper case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_name: ServedName
    """The model id that clients send and `/v1/models` shows."""
    model_repository: str | None = None
    """`owner/name` on the model hub; together with `model_file`."""
    model_file: str | None = None
    model_revision: str = "main"
    """A commit, tag or branch; only a commit is guaranteed to stay the same."""
    model_path: Path | None = None
    """A file inside the container, served as it is; instead of `model_repository`."""
    model_sha256: Sha256 | None = None
    model_sha256_unknown: bool = False
    """States that no digest is known: the one found is logged, and nothing is compared."""
    models_dir: Path = Path("/models")
    context_size: int = Field(default=4096, ge=256, le=4_194_304)
    """Tokens that one conversation may hold, prompt and answer together."""
    slots: int = Field(default=1, ge=1, le=256)
    """Conversations that are answered at the same time."""
    threads: int = Field(default=0, ge=0, le=1024)
    """0 stands for every CPU that the container may use."""
    port: int = Field(default=8000, ge=1, le=65535)
    status_port: int = Field(default=8001, ge=1, le=65535)
    """Where the container tells whether it is draining."""
    drain_seconds: int = Field(default=20, ge=0, le=86_400)
    """For running answers after SIGTERM; Docker has to wait some seconds longer."""
    hf_endpoint: str = Field(default="https://huggingface.co", pattern=r"^https?://[^\s/]+")
    hf_token_file: Path = Path("/run/secrets/hf_token")
    extra_ca_file: Path | None = None
    """PEM file with authorities that the hub's certificate may come from, beside the image's."""

    @field_validator("model_path", "models_dir", "hf_token_file", "extra_ca_file")
    @classmethod
    def _is_absolute(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_absolute():
            raise ValueError("must be an absolute path, such as /models/phi.gguf")
        return path

    @field_validator("model_repository")
    @classmethod
    def _is_a_hub_name(cls, repository: str | None) -> str | None:
        if repository is not None:
            validate_repo_id(repository)
        return repository

    @field_validator("model_file")
    @classmethod
    def _stays_inside_its_repository(cls, name: str | None) -> str | None:
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
    def _names_one_source(self) -> Self:
        hub = (self.model_repository, self.model_file)
        if self.model_path is not None and any(hub):
            raise ValueError(
                "MODEL_PATH and MODEL_REPOSITORY/MODEL_FILE are both set; keep one source"
            )
        if self.model_path is None and not all(hub):
            raise ValueError("set MODEL_REPOSITORY and MODEL_FILE (a hub), or MODEL_PATH (a file)")
        return self

    @model_validator(mode="after")
    def _knows_its_digest_or_says_not(self) -> Self:
        if self.model_sha256 is None and not self.model_sha256_unknown:
            raise ValueError(
                "MODEL_SHA256 is missing; set it, or MODEL_SHA256_UNKNOWN=true to accept any file"
            )
        if self.model_sha256 is not None and self.model_sha256_unknown:
            raise ValueError("MODEL_SHA256 is set although MODEL_SHA256_UNKNOWN says it is unknown")
        return self


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Validates the environment; an empty variable counts as unset.

    Raises Failure with every mistake found, each as variable, what is wrong, and what was given.
    """
    given = {
        name.lower(): value
        for name, value in environment.items()
        if value != ""
        and (name.lower() in Settings.model_fields or name.startswith(OWN_PREFIXES))
        and name == name.upper()
    }
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        mistakes = [
            _mistake(e["loc"], e["msg"], given, e["type"] == "missing") for e in error.errors()
        ]
    allowed = ", ".join(name.upper() for name in Settings.model_fields)
    raise Failure(
        ExitCode.BAD_SETTINGS,
        "; ".join(mistakes),
        what_to_do=f"correct the container's environment; the settings are {allowed}",
    )


def _mistake(
    location: tuple[int | str, ...], message: str, given: Mapping[str, str], missing: bool
) -> str:
    text = message.removeprefix("Value error, ")
    if not location:
        return text
    name = str(location[0])
    if missing:
        return f"{name.upper()}: is required and not set"
    if name not in Settings.model_fields:
        return f"{name.upper()}: is not a setting"
    return f"{name.upper()}: {text}, found {given[name]!r}"
