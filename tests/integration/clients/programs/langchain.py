"""LangChain's `ChatOpenAI`."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from langchain_openai import ChatOpenAI

from tests.integration.clients.programs.features import CITY, SCHEMA, Asked, run

WEATHER = {"title": "weather", "description": "The weather in a city", **CITY}
ANSWER = {"title": "answer", "description": "Whether it is so", **SCHEMA}


def model(asked: Asked) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=f"{asked.url}/v1",
        api_key="x",
        model=asked.model,
        temperature=0,
        max_tokens=asked.most_tokens,
        stream_usage=True,
    )


async def chat(asked: Asked) -> Any:
    return (await model(asked).ainvoke(asked.text)).content


async def stream(asked: Asked) -> Any:
    return [part.content async for part in model(asked).astream(asked.text) if part.content]


async def tools(asked: Asked) -> Any:
    bound = model(asked).bind_tools([WEATHER], tool_choice="required")
    whole = await bound.ainvoke(asked.text)
    streamed: Any = None
    async for part in bound.astream(asked.text):
        streamed = part if streamed is None else streamed + part
    return [[call["name"], call["args"]] for call in (*whole.tool_calls, *streamed.tool_calls)]


async def schema(asked: Asked) -> Any:
    bound = model(asked).with_structured_output(ANSWER, method="json_schema")
    return await bound.ainvoke(asked.text)


async def usage(asked: Asked) -> Any:
    whole = (await model(asked).ainvoke(asked.text)).usage_metadata
    streamed = [part.usage_metadata async for part in model(asked).astream(asked.text)]
    [last] = filter(None, streamed)
    return [[one["input_tokens"], one["output_tokens"]] for one in (whole, last)]


async def cancel(asked: Asked) -> Any:
    # By closing the stream: with Python 3.11, a cancellation of the task may be lost in the package.
    async with aclosing(model(asked).astream(asked.text)) as chunks:
        async for _ in chunks:
            return 1
    return 0


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
