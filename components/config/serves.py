"""What a service serves to the gateway: an OpenAI-compatible API, under `serves`."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator

from components.config.named_secrets import SecretName
from components.config.schema import StrictModel, refusal

DISCOVER = "discover"
# Clients send it to let the gateway choose a model.
_AUTO = "auto"
_MODEL_ID = r"[A-Za-z0-9/@][A-Za-z0-9._:/@+-]{0,127}"
_PATH = r"/[^\s?#]*"
_HOST = r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)"
_URL = rf"https?://{_HOST}(:[0-9]{{1,5}})?(/[^\s?#]*)?"


class Task(StrEnum):
    """What a model is for, which decides the endpoints of the gateway that it answers."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    TRANSCRIPTION = "transcription"
    SPEECH = "speech"
    IMAGE = "image"


def _models(value: Any) -> Any:
    """The ids of the models; None for those that the server lists."""
    allowed = f"a list of model ids, or {DISCOVER}"
    if value == DISCOVER:
        return None
    if not isinstance(value, list | tuple):
        raise refusal("is not a list of models", allowed=allowed)
    if not value:
        raise refusal("is an empty list", allowed=allowed)
    for one in value:
        if not isinstance(one, str) or not re.fullmatch(_MODEL_ID, one):
            raise refusal(
                f"has an entry that is not a model id: {one!r}",
                allowed="1 to 128 letters, digits and . _ : / @ + -",
            )
        if one == _AUTO:
            raise refusal(
                f"has the model {_AUTO!r}, which clients send to let the gateway choose",
                allowed="another id",
            )
        if value.count(one) > 1:
            raise refusal(f"has {one!r} {value.count(one)} times", allowed="each id once")
    return tuple(value)


def _path(value: str) -> str:
    if not re.fullmatch(_PATH, value):
        raise refusal(
            "is not a valid path", allowed="text that begins with /, without spaces, ? and #"
        )
    return value


def _url(value: str) -> str:
    if "@" in value.split("://", 1)[-1].split("/", 1)[0]:
        raise refusal(
            "has a user name or a password",
            allowed="a URL without them, and serves.api_key for a key",
            hide=True,
        )
    if not re.fullmatch(_URL, value):
        raise refusal(
            "is not a valid URL",
            allowed="http:// or https://, a host, and maybe a port and a path; no ? and #",
        )
    return value.rstrip("/")


ApiPath = Annotated[
    str, AfterValidator(_path), WithJsonSchema({"type": "string", "pattern": f"^{_PATH}$"})
]
ServerUrl = Annotated[
    str, AfterValidator(_url), WithJsonSchema({"type": "string", "pattern": f"^{_URL}$"})
]
ModelIds = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(_models),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": DISCOVER},
                {
                    "type": "array",
                    "items": {"type": "string", "pattern": f"^{_MODEL_ID}$"},
                    "minItems": 1,
                },
            ]
        }
    ),
]


class Serves(StrictModel):
    """An OpenAI-compatible API that the gateway offers to its clients."""

    path: ApiPath = Field(default="/v1", description="of the API")
    models: ModelIds = Field(
        default=None,
        description=f"ids; {DISCOVER}, the default, takes those of the server's own list",
    )
    api_key: SecretName | None = Field(
        default=None, description="name of the secret that the gateway sends to the server"
    )
    concurrency: int = Field(default=8, ge=1, le=1024, description="requests at once")
    tasks: tuple[Task, ...] = (Task.CHAT,)
    health: ApiPath | None = Field(
        default=None, description="of the health check; without it, the list of models is asked"
    )

    @field_validator("tasks")
    @classmethod
    def _are_some(cls, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        if not tasks:
            raise refusal("is an empty list", allowed=f"some of {', '.join(Task)}")
        for task in tasks:
            if tasks.count(task) > 1:
                raise refusal(f"has {task.value!r} more than once", allowed="each task once")
        return tasks
