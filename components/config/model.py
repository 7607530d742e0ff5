"""A model of the catalogue: where its GGUF file comes from, and how llama-server runs it."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from components.config.field_types import Sha256
from components.config.schema import StrictModel, refusal

# Where an image holds its bundled model.
BUNDLED_DIRECTORY = "/opt/models"
# Models that an image can hold: the stages model-<name> of docker/inference.Dockerfile. `tiny`
# generates random text, for tests.
BundledModel = Literal["smollm2-135m", "tiny"]
BUNDLED_MODELS: tuple[BundledModel, ...] = get_args(BundledModel)


class Model(StrictModel):
    """Where a GGUF file comes from, and how llama-server runs it.

    Either `repository`, `file` and `revision` (a model hub), `path` (inside the container) or
    `bundled` (the image holds it).
    `sha256_origin` is how we got the digest: `downloaded` (computed from the file),
    `published` (others publish it; we have not downloaded the file) or `unknown` (then there is
    none, and the first start logs the digest).
    """

    description: str
    repository: str | None = None
    file: str | None = None
    revision: str | None = None
    path: str | None = None
    bundled: BundledModel | None = None
    sha256: Sha256 | None = None
    sha256_origin: Literal["downloaded", "published", "unknown"] | None = None
    size: int | None = Field(default=None, gt=0, description="of the file, in bytes")
    context: int = Field(ge=128, description="tokens that one conversation can hold")
    slots: int = Field(ge=1, le=64, description="conversations answered at the same time")
    threads: int = Field(default=0, ge=0, le=256, description="0 leaves them to the service")

    @model_validator(mode="after")
    def _one_source(self) -> Model:
        hub = [self.repository, self.file, self.revision]
        whole = [all(hub), self.path is not None, self.bundled is not None]
        if whole.count(True) != 1 or (any(hub) and not all(hub)):
            raise refusal(
                "does not have one source",
                allowed="repository, file and revision together, path alone, or bundled alone",
            )
        if self.from_hub and (self.sha256 is None) != (self.sha256_origin == "unknown"):
            raise refusal(
                "has no check of its content",
                allowed="sha256, or sha256_origin: unknown where there is none, not both",
            )
        if self.sha256 and self.sha256_origin is None:
            raise refusal(
                "does not have sha256_origin", allowed="sha256_origin: downloaded or published"
            )
        return self

    @property
    def from_hub(self) -> bool:
        """Whether a model hub has to be reached for it."""
        return self.repository is not None

    @property
    def container_path(self) -> str | None:
        """Where the file is inside the container before its start; None for one from a hub."""
        return f"{BUNDLED_DIRECTORY}/{self.bundled}.gguf" if self.bundled else self.path
