"""All APIs that clients may call with POST; a new API is one more row."""

from __future__ import annotations

from app.chat.apis.api import Api
from app.chat.apis.openai_text import CHAT_COMPLETIONS, COMPLETIONS
from app.chat.apis.vectors import EMBEDDINGS, RERANK
from app.chat.settings import ModelTask

APIS: tuple[Api, ...] = (
    CHAT_COMPLETIONS,
    COMPLETIONS,
    EMBEDDINGS,
    RERANK,
)
API_OF_PATH = {path: api for api in APIS for path in api.paths}


def is_api_path(path: str) -> bool:
    """Whether a path is below `/v1`, or an API of llama-server at the root."""
    return path.startswith("/v1/") or path in API_OF_PATH


def paths_of_task(task: ModelTask) -> tuple[str, ...]:
    """The paths for which a model needs only this task."""
    return tuple(api.path for api in APIS if api.tasks == (task,))
