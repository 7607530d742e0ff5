"""pydantic-ai's agents."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.integration.clients.programs.features import Asked, cancelled, run


class Answer(BaseModel):
    """Whether it is so."""

    yes: bool


class Weather(BaseModel):
    """The weather in a city."""

    city: str


def agent(asked: Asked, **more: Any) -> Any:
    provider = OpenAIProvider(base_url=f"{asked.url}/v1", api_key="x")
    return Agent(
        OpenAIChatModel(asked.model, provider=provider),
        model_settings={"temperature": 0, "max_tokens": asked.most_tokens},
        **more,
    )


async def chat(asked: Asked) -> Any:
    return (await agent(asked).run(asked.text)).output


async def stream(asked: Asked) -> Any:
    async with agent(asked).run_stream(asked.text) as response:
        return [part async for part in response.stream_text(delta=True, debounce_by=None)]


async def tools(asked: Asked) -> Any:
    """Its outputs are arguments of a tool by default, which it forces the model to call."""
    one = agent(asked, output_type=ToolOutput(Weather, name="weather"))
    whole = (await one.run(asked.text)).output
    async with one.run_stream(asked.text) as response:
        streamed = await response.get_output()
    return [["weather", answer.model_dump()] for answer in (whole, streamed)]


async def schema(asked: Asked) -> Any:
    one = agent(asked, output_type=NativeOutput(Answer))
    return (await one.run(asked.text)).output.model_dump()


async def usage(asked: Asked) -> Any:
    whole = (await agent(asked).run(asked.text)).usage
    async with agent(asked).run_stream(asked.text) as response:
        await response.get_output()
        streamed = response.usage
    both = (one() if callable(one) else one for one in (whole, streamed))
    return [[one.input_tokens, one.output_tokens] for one in both]


async def cancel(asked: Asked) -> Any:
    async def texts() -> Any:
        async with agent(asked).run_stream(asked.text) as response:
            async for text in response.stream_text(delta=True, debounce_by=None):
                yield text

    async def chunks() -> Any:
        return texts()

    return await cancelled(chunks())


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
