"""The fields that requests of every API have."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RequestFields(BaseModel):
    """The fields of a request body that the gateway uses."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str | None = Field(default=None, strict=True, min_length=1, max_length=200)
    stream: bool | None = Field(default=False, strict=True)
