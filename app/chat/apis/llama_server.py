"""APIs of llama-server's own, outside of `/v1`: tokens, chat templates, code between two parts.

Source: llama.cpp's tools/server/README.md, b11312. Their clients often send no `model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.chat.apis.api import Api, Body, always
from app.chat.apis.openai_text import messages_of, text_blocks
from app.chat.apis.stream_form import INFILL_STREAM
from app.chat.relay.named_event_assembly import InfillAssembly
from app.chat.schema.other_apis import DETOKENIZE_FIELDS, INFILL_FIELDS, TOKENIZE_FIELDS
from app.chat.schema.requests import CHAT_FIELDS
from app.chat.settings import ModelTask

_TEXT_TASKS = (ModelTask.CHAT, ModelTask.COMPLETION, ModelTask.EMBEDDING, ModelTask.RERANK)


def _infill_prompt(body: Body) -> Sequence[Any]:
    extra = body.get("input_extra")
    files = extra if isinstance(extra, list) else []
    return (*files, *text_blocks(body.get("input_prefix")))


TOKENIZE = Api(
    "/tokenize",
    separate_texts=True,
    needs_slot=False,
    schema=TOKENIZE_FIELDS,
    aliases=("/v1/tokenize",),
    tasks=_TEXT_TASKS,
    at_root=True,
    needs_model=False,
)
DETOKENIZE = Api(
    "/detokenize",
    separate_texts=True,
    needs_slot=False,
    schema=DETOKENIZE_FIELDS,
    aliases=("/v1/detokenize",),
    tasks=_TEXT_TASKS,
    at_root=True,
    needs_model=False,
)
APPLY_TEMPLATE = Api(
    "/apply-template",
    needs_slot=False,
    schema=CHAT_FIELDS,
    tasks=(ModelTask.CHAT,),
    at_root=True,
    needs_model=False,
    prompt=messages_of,
)
INFILL = Api(
    "/infill",
    schema=INFILL_FIELDS,
    tasks=(ModelTask.COMPLETION,),
    at_root=True,
    needs_model=False,
    generates=True,
    stream=INFILL_STREAM,
    assembled=always,
    assembly=InfillAssembly,
    prompt=_infill_prompt,
)
