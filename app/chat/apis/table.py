"""All APIs that clients may call with POST; a new API is one more row."""

from __future__ import annotations

from app.chat.apis.api import Api
from app.chat.apis.llama_server import APPLY_TEMPLATE, DETOKENIZE, INFILL, TOKENIZE
from app.chat.apis.messages import COUNT_TOKENS, MESSAGES
from app.chat.apis.openai_text import CHAT_COMPLETIONS, CHAT_INPUT_TOKENS, COMPLETIONS
from app.chat.apis.responses import RESPONSES, RESPONSES_INPUT_TOKENS
from app.chat.apis.transcriptions import TRANSCRIPTIONS
from app.chat.apis.vectors import EMBEDDINGS, RERANK
from app.chat.settings import ModelTask

APIS: tuple[Api, ...] = (
    CHAT_COMPLETIONS,
    CHAT_INPUT_TOKENS,
    COMPLETIONS,
    RESPONSES,
    RESPONSES_INPUT_TOKENS,
    MESSAGES,
    COUNT_TOKENS,
    EMBEDDINGS,
    RERANK,
    TRANSCRIPTIONS,
    INFILL,
    TOKENIZE,
    DETOKENIZE,
    APPLY_TEMPLATE,
)
API_OF_PATH = {path: api for api in APIS for path in api.paths}


def is_api_path(path: str) -> bool:
    """Whether a path is below `/v1`, or an API of llama-server at the root."""
    return path.startswith("/v1/") or path in API_OF_PATH


# The path that errors name for a task; the first row of each.
PATH_OF_TASK = {
    task: next(api.path for api in APIS if task in api.tasks)
    for task in ModelTask
    if any(task in api.tasks for api in APIS)
}
