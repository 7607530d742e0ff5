"""The `openai` package for Python."""

from __future__ import annotations

import json
from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.integration.clients.programs.features import CITY, Asked, cancelled, run

WEATHER: Any = {"type": "function", "function": {"name": "weather", "parameters": CITY}}


class Answer(BaseModel):
    """Whether it is so."""

    yes: bool


def question(asked: Asked) -> dict[str, Any]:
    return {
        "model": asked.model,
        "messages": [{"role": "user", "content": asked.text}],
        "temperature": 0,
        "max_tokens": asked.most_tokens,
    }


def completions(asked: Asked) -> Any:
    return AsyncOpenAI(base_url=f"{asked.url}/v1", api_key="x").chat.completions


async def ask(asked: Asked, **more: Any) -> Any:
    return await completions(asked).create(**question(asked), **more)


async def chat(asked: Asked) -> Any:
    return (await ask(asked)).choices[0].message.content


async def stream(asked: Asked) -> Any:
    texts = [part.choices[0].delta.content async for part in await ask(asked, stream=True)]
    return [text for text in texts if text]


async def tools(asked: Asked) -> Any:
    forced = {"tools": [WEATHER], "tool_choice": "required"}
    whole = await ask(asked, **forced)
    async with completions(asked).stream(**question(asked), **forced) as running:
        streamed = await running.get_final_completion()
    calls = [one.choices[0].message.tool_calls[0].function for one in (whole, streamed)]
    return [[call.name, json.loads(call.arguments)] for call in calls]


async def schema(asked: Asked) -> Any:
    answer = await completions(asked).parse(**question(asked), response_format=Answer)
    return answer.choices[0].message.parsed.model_dump()


async def usage(asked: Asked) -> Any:
    whole = (await ask(asked)).usage
    chunks = await ask(asked, stream=True, stream_options={"include_usage": True})
    [last] = [part.usage async for part in chunks if part.usage]
    return [[one.prompt_tokens, one.completion_tokens] for one in (whole, last)]


async def cancel(asked: Asked) -> Any:
    return await cancelled(ask(asked, stream=True))


run(
    {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "schema": schema,
        "usage": usage,
        "cancel": cancel,
        "error": chat,
        "retry": chat,
    }
)
