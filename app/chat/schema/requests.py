"""The schemas of OpenAI's APIs for texts, and of rankings in Jina's form."""

from __future__ import annotations

from typing import Any

from app.chat.schema.chat_parts import functions, messages, response_format, tool_choice, tools
from app.chat.schema.checks import (
    Check,
    Problem,
    boolean,
    by_type,
    fields,
    free,
    integer,
    items,
    one_of,
    refused,
    text,
    token_ids,
    wrong_type,
)
from app.chat.schema.sampling import MOST_TOKENS, REASONING, SAMPLING
from app.chat.schema.schema import Schema

MOST_PROMPTS = 2048
MOST_DOCUMENTS = 4096
# More than the context of any model; the size of the body limits it as well.
_TOKEN_IDS = 2**22
# The body's size is limited by the model's context.
_any_text: Check = text(2**31)
_setting: Check = free(values=1000, depth=16, characters=64 * 1024)
# A template may read these, for example a conversation's documents.
_template_values: Check = free(values=5000, depth=24, characters=256 * 1024)

CHAT_FIELDS = Schema(
    {
        **SAMPLING,
        **REASONING,
        "messages": messages,
        "tools": tools,
        "tool_choice": tool_choice,
        "functions": functions,
        "function_call": tool_choice,
        "parallel_tool_calls": boolean,
        "response_format": response_format,
        "max_completion_tokens": integer(-2, MOST_TOKENS),
        "modalities": items(text(64), 8),
        "audio": _setting,
        "prediction": _template_values,
        "web_search_options": _setting,
        "chat_template_kwargs": _template_values,
        "chat_template": refused("it is a program for the server"),
        "documents": _template_values,
        "add_generation_prompt": boolean,
        "continue_final_message": by_type("a boolean or a text", boolean=boolean, text=text(64)),
        "mm_processor_kwargs": _setting,
        "echo": boolean,
    },
    required=("messages",),
)


def prompts(value: Any, param: str) -> None:
    """One prompt, or several: texts, token ids, or both."""
    if type(value) is str:
        return
    if type(value) is dict:
        _mixed_prompt(value, param)
        return
    if type(value) is not list:
        raise wrong_type(param, "a string or an array", value)
    if not value:
        raise Problem(param, "must not be empty")
    if set(map(type, value)) == {int}:
        token_ids(_TOKEN_IDS)(value, param)
        return
    if len(value) > MOST_PROMPTS:
        raise Problem(param, f"has {len(value)} prompts; allowed: {MOST_PROMPTS}")
    for index, one in enumerate(value):
        if type(one) is list:
            _tokens_and_texts(one, f"{param}.{index}")
        elif type(one) is dict:
            _mixed_prompt(one, f"{param}.{index}")
        elif type(one) is not str and type(one) is not int:
            raise wrong_type(f"{param}.{index}", "a string or token ids", one)


def _tokens_and_texts(value: list[Any], param: str) -> None:
    if not set(map(type, value)) <= {int, str}:
        raise Problem(param, "must have texts and token ids only")


_mixed_prompt: Check = fields(
    {"prompt_string": _any_text, "multimodal_data": items(_any_text, 64)}, others=_setting
)

COMPLETION_FIELDS = Schema(
    {
        **SAMPLING,
        "prompt": prompts,
        "suffix": _any_text,
        "echo": boolean,
        "reasoning_format": REASONING["reasoning_format"],
        "input_prefix": _any_text,
        "input_suffix": _any_text,
    },
    required=("prompt",),
)
EMBEDDING_FIELDS = Schema(
    {
        "input": prompts,
        "content": prompts,
        "dimensions": integer(1, 65_536),
        "encoding_format": one_of("float", "base64"),
        "user": text(256),
        "embd_normalize": integer(-1, 1024),
        "truncate_prompt_tokens": integer(-1, MOST_TOKENS),
        "truncate": by_type("a boolean or a text", boolean=boolean, text=text(64)),
        "input_type": text(64),
        "task": text(64),
        "add_special_tokens": boolean,
        "normalize": boolean,
        "keep_alive": SAMPLING["keep_alive"],
        "options": SAMPLING["options"],
        "priority": SAMPLING["priority"],
        "metadata": SAMPLING["metadata"],
    }
)


def _documents(value: Any, param: str) -> None:
    if type(value) is not list:
        raise wrong_type(param, "an array", value)
    if len(value) > MOST_DOCUMENTS:
        raise Problem(param, f"has {len(value)} documents; allowed: {MOST_DOCUMENTS}")
    for index, one in enumerate(value):
        if type(one) is dict:
            _setting(one, f"{param}.{index}")
        elif type(one) is not str:
            raise wrong_type(f"{param}.{index}", "a string", one)


RERANK_FIELDS = Schema(
    {
        "query": by_type("a string", text=_any_text, object=_setting),
        "documents": _documents,
        "texts": _documents,
        "top_n": integer(0, MOST_TOKENS),
        "return_documents": boolean,
        "return_text": boolean,
        "raw_scores": boolean,
        "truncate": boolean,
        "max_chunks_per_doc": integer(1, MOST_TOKENS),
        "max_tokens_per_doc": integer(1, MOST_TOKENS),
        "truncate_prompt_tokens": integer(-1, MOST_TOKENS),
        "priority": SAMPLING["priority"],
        "user": text(256),
    },
    required=("query",),
)
