"""Recognises the errors with which a model server refuses the request itself.

llama-server reports many of them with status 500: whatever its parsing of a request throws, except
std::invalid_argument (tools/server/server.cpp, b11312). Only texts that such parsing throws count
here. Every other 500 can be a failure of the server, and its text may contain paths.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_LONGEST_MESSAGE = 1000
_OVERFLOW = "context_length_exceeded"
# The fields of a model server's error object that clients get.
_PUBLIC_FIELDS = ("n_prompt_tokens", "n_ctx")

# A template's failure: text that quotes the template, then the reason in the last line.
_TEMPLATE_FAILURE = re.compile(
    r"While executing \w+ at line \d+, column \d+ in source:.*\nError: (?P<reason>.+)", re.DOTALL
)
_RAISED_BY_TEMPLATE = "Jinja Exception: "
_REQUEST_PARSING = re.compile(
    "|".join(
        (
            # common/chat.cpp
            r"Failed to parse (messages|tools|grammar)\b",
            r"Cannot specify (both content and content_parts|grammar with tools)",
            r"Unknown reasoning format",
            # tools/server/server-common.cpp
            r"(image|audio|video) input is not supported",
            r"Failed to (load|download) image",
            r"Failed to tokenize prompt",
            r"Multimodal data provided",
            r"\"prompt\" ",
            r"'messages' is required",
            r"Only no echo is supported",
            r"Unsupported param: ",
            r"Invalid base64 value",
            r"Cannot use both json_schema and grammar",
            r"(tools|tool_choice) param requires --jinja",
            # tools/server/server-context.cpp
            r"for mtmd, input prompt must be a string",
            # common/json-schema-to-grammar.cpp, and vendor/nlohmann/json.hpp: a field of another
            # type, NaN, text that is not Unicode
            r"JSON schema conversion failed",
            r"\[json\.exception\.(parse_error|type_error|out_of_range)\.\d+\]",
        )
    )
)
# An input for embeddings or reranking is processed in one batch.
_LARGER_THAN_BATCH = re.compile(
    r"input \((?P<input>\d+) tokens\) is too large to process.*batch size: (?P<limit>\d+)"
)
# vLLM's text, and that of OpenAI.
_OVERFLOW_TEXT = re.compile(r"This model's maximum context length is \d+ tokens")


def request_refusal(status: int, error: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments of an ApiError 400, if the request is at fault; None if the server is.

    :param error: the error object of the model server.
    """
    message = str(error.get("message") or "")
    if _is_overflow(error, message):
        return _overflow(error, message)
    if too_large := _LARGER_THAN_BATCH.search(message):
        counts = {"n_prompt_tokens": int(too_large["input"]), "n_ctx": int(too_large["limit"])}
        return _overflow(counts, message)
    if reason := _template_reason(message):
        text = f"the model's chat template refused the messages: {reason}"
    elif status == 500 and error.get("type") == "server_error" and _REQUEST_PARSING.match(message):
        text = message
    else:
        return None
    return {"message": text[:_LONGEST_MESSAGE], "code": "upstream_refused"}


def _template_reason(message: str) -> str | None:
    """Why a chat template failed, without the part of the template that the message quotes."""
    failure = _TEMPLATE_FAILURE.search(message)
    if failure is None and not message.startswith(_RAISED_BY_TEMPLATE):
        return None
    reason = failure["reason"].strip() if failure else message
    return reason.removeprefix(_RAISED_BY_TEMPLATE)


def public_fields(error: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an error object that clients get beside OpenAI's."""
    return {key: error[key] for key in _PUBLIC_FIELDS if key in error}


def _is_overflow(error: Mapping[str, Any], message: str) -> bool:
    return error.get("type") == "exceed_context_size_error" or bool(_OVERFLOW_TEXT.match(message))


def _overflow(error: Mapping[str, Any], message: str) -> dict[str, Any]:
    """OpenAI's code and text for a request that is longer than the model's context.

    LangChain searches the text for the code.
    """
    prompt, context = error.get("n_prompt_tokens"), error.get("n_ctx")
    if isinstance(prompt, int) and isinstance(context, int):
        message = (
            f"This model's maximum context length is {context} tokens. However, your messages "
            f"resulted in {prompt} tokens. Please reduce the length of the messages. ({_OVERFLOW})"
        )
    return {"message": message[:_LONGEST_MESSAGE], "code": _OVERFLOW, "extra": public_fields(error)}
