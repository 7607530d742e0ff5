"""Settings of the inference container: model.json, and environment variables for its operation.

components/kinds/model_config.py writes model.json.
"""

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, not re-exported
    validate_repo_id,
)
from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from app.shared.settings_file import SettingsError, Strict, read_settings, validated

DEFAULT_CONFIG = Path("/run/config/model.json")

ServedName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Switch = Literal["auto", "on", "off"]


class Role(StrEnum):
    """What llama-server uses a file for."""

    MODEL = "model"
    """The model, or a part of it."""
    PROJECTOR = "projector"
    ADAPTER = "adapter"
    DRAFT = "draft"


class Task(StrEnum):
    """Which endpoints llama-server serves."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    RERANK = "rerank"


class ModelFile(Strict):
    """A file of a model hub, or a local one."""

    role: Role = Role.MODEL
    repository: str | None = None
    """`owner/name` on the model hub; together with `file`."""
    file: str | None = None
    revision: str = "main"
    """A commit, tag or branch; only a commit is guaranteed to stay the same."""
    path: Path | None = None
    """A file inside the container; instead of `repository`."""
    sha256: Sha256 | None = None
    """None accepts any content: its digest is logged and not compared."""
    size: int | None = Field(default=None, gt=0)
    """In bytes, where the hub does not report it."""
    scale: float = 1.0
    """Of an adapter."""

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, path: Path | None) -> Path | None:
        return path if path is None else _absolute(path)

    @field_validator("repository")
    @classmethod
    def _is_a_repository_name(cls, repository: str | None) -> str | None:
        if repository is not None:
            validate_repo_id(repository)
        return repository

    @field_validator("file")
    @classmethod
    def _is_a_gguf_path(cls, name: str | None) -> str | None:
        if name is not None:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or path.suffix != ".gguf":
                raise ValueError("must be the path of a .gguf file inside its repository")
        return name

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        hub = (self.repository, self.file)
        if self.path is not None and any(hub):
            raise ValueError("path and repository/file are both set; keep one source")
        if self.path is None and not all(hub):
            raise ValueError("set repository and file (a hub), or path (a local file)")
        return self

    @property
    def base_name(self) -> str:
        """The file's own name, without folders."""
        return posixpath.basename(self.file or str(self.path))


class ModelSettings(Strict):
    """The content of model.json: the model to serve, and how."""

    name: ServedName
    """The model id that clients send and `/v1/models` shows."""
    files: tuple[ModelFile, ...]
    """The parts of a split model in their order."""
    hub: str = Field(default="https://huggingface.co", pattern=r"^https?://[^\s/]+")
    context: int = Field(default=4096, ge=128, le=4_194_304)
    """Tokens per conversation, prompt and answer together."""
    slots: int = Field(default=1, ge=1, le=256)
    """Requests processed at the same time."""
    threads: int = Field(default=0, ge=0, le=1024)
    """0: as many as the container has CPUs."""
    task: Task = Task.CHAT
    pooling: Literal["none", "mean", "cls", "last", "rank"] | None = None
    chat_template: FileName | None = None
    """A file beside model.json."""
    reasoning: Switch | None = None
    reasoning_budget: int | None = Field(default=None, ge=0)
    cache_type: str | None = Field(default=None, pattern=r"^[a-z0-9_]+$")
    flash_attention: Switch | None = None
    idle_sleep: int | None = Field(default=None, ge=1)
    """Seconds without a request after which llama-server gives its memory back."""
    options: tuple[str, ...] = ()
    """More arguments of llama-server."""

    @field_validator("hub")
    @classmethod
    def _without_trailing_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @field_validator("files")
    @classmethod
    def _has_one_of_each(cls, files: tuple[ModelFile, ...]) -> tuple[ModelFile, ...]:
        roles = [file.role for file in files]
        if Role.MODEL not in roles:
            raise ValueError("has no file with role model")
        for role in (Role.PROJECTOR, Role.DRAFT):
            if roles.count(role) > 1:
                raise ValueError(f"has more than one file with role {role.value}")
        return files

    def of_role(self, role: Role) -> Sequence[ModelFile]:
        """Its files with a role, in their order."""
        return [file for file in self.files if file.role is role]

    def labelled_files(self) -> Iterator[tuple[str, ModelFile]]:
        """Every file with what messages call it."""
        for role in Role:
            files = self.of_role(role)
            for number, file in enumerate(files, start=1):
                yield _label(role, number, len(files)), file


class RouterSettings(Strict):
    """The content of model.json for llama-server in router mode: it loads models on demand."""

    max_loaded: int = Field(ge=1, le=64)
    """Models in memory at once; the least recently used idle one is unloaded for another one."""
    models: tuple[ModelSettings, ...] = Field(min_length=1)

    @field_validator("models")
    @classmethod
    def _names_differ(cls, models: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        names = [model.name for model in models]
        if len(set(names)) != len(names):
            raise ValueError("two models have the same name")
        return models


class ContainerRole(StrEnum):
    """What a container does: two may share the work, so that one that serves writes no model."""

    FETCH = "fetch"
    """Fetches and checks the files, and ends."""
    SERVE = "serve"
    """Serves files that another container has fetched; may read them only."""
    BOTH = "both"


class Settings(Strict):
    """Environment variables; each field has the variable of its name."""

    model_config = ConfigDict(alias_generator=str.upper)

    model_config_file: Path = Field(default=DEFAULT_CONFIG, alias="MODEL_CONFIG")
    role: ContainerRole = ContainerRole.BOTH
    models_dir: Path = Path("/models")
    port: int = Field(default=8000, ge=1, le=65535)
    status_port: int = Field(default=8001, ge=1, le=65535)
    """Port on which the container reports whether it is draining."""
    drain_seconds: int = Field(default=20, ge=0, le=86_400)
    """After SIGTERM, for running requests to finish; Docker's stop timeout has to be longer."""
    hf_token_file: Path = Path("/run/secrets/hf_token")
    extra_ca_file: Path | None = None
    """PEM file with certificate authorities to trust, in addition to those of the image."""

    @field_validator("model_config_file", "models_dir", "hf_token_file", "extra_ca_file")
    @classmethod
    def _is_absolute(cls, path: Path | None) -> Path | None:
        return path if path is None else _absolute(path)

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.port == self.status_port:
            raise ValueError("PORT and STATUS_PORT are the same; choose two")
        return self

    @property
    def config_directory(self) -> Path:
        """Where model.json is, and the files that it names."""
        return self.model_config_file.parent


SETTING_NAMES = frozenset(field.alias or name for name, field in Settings.model_fields.items())


def load_settings(
    environment: Mapping[str, str],
) -> tuple[Settings, ModelSettings | RouterSettings]:
    """Validate the environment and model.json; an empty variable counts as unset.

    Raises SettingsError with all problems, a line for each.
    """
    given = {name: value for name, value in environment.items() if value and name in SETTING_NAMES}
    settings = validated(given, Settings, "environment")
    content = _read_content(settings.model_config_file)
    for model in content.models if isinstance(content, RouterSettings) else (content,):
        template = model.chat_template
        if template and not (settings.config_directory / template).is_file():
            raise SettingsError(
                f"{settings.model_config_file}: chat_template: there is no such file beside it; "
                f"found {template!r}"
            )
    return settings, content


def _read_content(path: Path) -> ModelSettings | RouterSettings:
    """One model, or several of a router, which have the key `max_loaded`."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        # Reading it as the settings of one model reports the problem.
        found = None
    if isinstance(found, dict) and "max_loaded" in found:
        return read_settings(path, RouterSettings)
    return read_settings(path, ModelSettings)


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path, such as /models/phi.gguf")
    return path


def _label(role: Role, number: int, count: int) -> str:
    if role is Role.MODEL:
        return "the model" if count == 1 else f"part {number} of {count} of the model"
    if role is Role.ADAPTER:
        return "the adapter" if count == 1 else f"adapter {number} of {count}"
    return "the draft model" if role is Role.DRAFT else "the projector"
