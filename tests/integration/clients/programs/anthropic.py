"""The `anthropic` package for Python, on /v1/messages."""

from __future__ import annotations

from typing import Any

from anthropic import AsyncAnthropic

from tests.integration.clients.programs.features import CITY, SCHEMA, Asked, cancelled, run

FORCED = {
    "tools": [{"name": "weather", "description": "The weather in a city", "input_schema": CITY}],
    "tool_choice": {"type": "any"},
}


def question(asked: Asked) -> dict[str, Any]:
    return {
        "model": asked.model,
        "messages": [{"role": "user", "content": asked.text}],
        "max_tokens": asked.most_tokens,
        "extra_body": {"temperature": 0},
    }


def messages(asked: Asked) -> Any:
    return AsyncAnthropic(base_url=asked.url, api_key="x").messages


async def ask(asked: Asked, **more: Any) -> Any:
    return await messages(asked).create(**question(asked), **more)


async def finished(asked: Asked, **more: Any) -> Any:
    async with messages(asked).stream(**question(asked), **more) as running:
        return await running.get_final_message()


async def chat(asked: Asked) -> Any:
    return (await ask(asked)).content[0].text


async def stream(asked: Asked) -> Any:
    async with messages(asked).stream(**question(asked)) as running:
        return [text async for text in running.text_stream]


async def tools(asked: Asked) -> Any:
    both = await ask(asked, **FORCED), await finished(asked, **FORCED)
    blocks = [block for one in both for block in one.content if block.type == "tool_use"]
    return [[block.name, block.input] for block in blocks]


async def schema(asked: Asked) -> Any:
    form = {"type": "json_schema", "schema": SCHEMA}
    return (await ask(asked, output_config={"format": form})).content[0].text


async def usage(asked: Asked) -> Any:
    both = (await ask(asked)).usage, (await finished(asked)).usage
    # The input is without what the model's cache already had.
    return [
        [one.input_tokens + (one.cache_read_input_tokens or 0), one.output_tokens] for one in both
    ]


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
