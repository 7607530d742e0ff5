"""Answers of a model server for the APIs beyond OpenAI's chat completions.

The forms are those of llama-server b11312.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tests.doubles.model_server import Behaviour, ReceivedRequest


def named_event(data: dict[str, Any]) -> bytes:
    """An event whose name is the type of its data."""
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


TRANSCRIPT: dict[str, Any] = {
    "type": "transcript.text.done",
    "text": "Hello",
    "usage": {"type": "tokens", "input_tokens": 7, "output_tokens": 2, "total_tokens": 9},
}
TRANSCRIPT_EVENTS = (
    b'data: {"type": "transcript.text.delta", "delta": "Hel"}\n\n',
    b'data: {"type": "transcript.text.delta", "delta": "lo"}\n\n',
    f"data: {json.dumps(TRANSCRIPT)}\n\n".encode(),
    b"data: [DONE]\n\n",
)
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hello"}],
    "model": "m",
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"cache_read_input_tokens": 4, "input_tokens": 3, "output_tokens": 2},
}
_START = {**MESSAGE, "content": [], "stop_reason": None}
MESSAGE_EVENTS = (
    named_event(
        {
            "type": "message_start",
            "message": {**_START, "usage": {**MESSAGE["usage"], "output_tokens": 0}},
        }
    ),
    named_event(
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        }
    ),
    *(
        named_event(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": text},
            }
        )
        for text in ("Hel", "lo")
    ),
    named_event({"type": "content_block_stop", "index": 0}),
    named_event(
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 2},
        }
    ),
    named_event({"type": "message_stop"}),
)

_PART = {"type": "output_text", "annotations": [], "logprobs": [], "text": "Hello"}
_ITEM = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [_PART],
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "m",
    "output": [_ITEM],
    "usage": {
        "input_tokens": 7,
        "output_tokens": 2,
        "total_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
    },
}
_BEGUN = {"id": "resp_1", "object": "response", "status": "in_progress"}
_OF_ITEM = {"item_id": "msg_1"}
RESPONSE_EVENTS = (
    named_event({"type": "response.created", "response": _BEGUN}),
    named_event({"type": "response.in_progress", "response": _BEGUN}),
    named_event(
        {
            "type": "response.output_item.added",
            "item": {**_ITEM, "status": "in_progress", "content": []},
        }
    ),
    named_event({"type": "response.content_part.added", **_OF_ITEM, "part": {**_PART, "text": ""}}),
    *(
        named_event({"type": "response.output_text.delta", **_OF_ITEM, "delta": text})
        for text in ("Hel", "lo")
    ),
    named_event({"type": "response.output_text.done", **_OF_ITEM, "text": "Hello"}),
    named_event({"type": "response.output_item.done", "item": _ITEM}),
    named_event({"type": "response.completed", "response": RESPONSE}),
)

_TIMINGS = {"prompt_n": 3, "cache_n": 4, "predicted_n": 2, "predicted_per_second": 40.0}
INFILL: dict[str, Any] = {"content": "Hello", "stop": True, "timings": _TIMINGS}
INFILL_EVENTS = tuple(
    b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"
    for data in (
        {"content": "Hel", "stop": False},
        {"content": "lo", "stop": False},
        {**INFILL, "content": ""},
    )
)


def answering(document: dict[str, Any], events: Sequence[bytes] = ()) -> Behaviour:
    """Answers with the events if the request asks for a stream, else with the document."""

    async def behave(received: ReceivedRequest) -> web.StreamResponse:
        if not received.body.get("stream"):
            return web.json_response(document)
        response = await received.stream()
        for event in events:
            await response.write(event)
        return response

    return behave
