"""OpenAI's Agents SDK, with the Responses API or, as argument 1 says, with chat completions."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from agents import (
    Agent,
    FunctionTool,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

from tests.integration.clients.programs.features import CITY, Asked, run

set_tracing_disabled(True)
MODEL = OpenAIChatCompletionsModel if sys.argv[1] == "chat" else OpenAIResponsesModel


@dataclass
class Answer:
    """The form of the agent's output."""

    yes: bool


def agent(asked: Asked, **more: Any) -> Agent[Any]:
    client = AsyncOpenAI(base_url=f"{asked.url}/v1", api_key="x")
    settings = {"temperature": 0, "max_tokens": asked.most_tokens, "include_usage": True}
    return Agent(
        name="Agent",
        model=MODEL(model=asked.model, openai_client=client),
        model_settings=ModelSettings(**settings, **more.pop("settings", {})),
        **more,
    )


async def chat(asked: Asked) -> Any:
    return (await Runner.run(agent(asked), asked.text)).final_output


async def stream(asked: Asked) -> Any:
    events = Runner.run_streamed(agent(asked), asked.text).stream_events()
    return [
        event.data.delta
        async for event in events
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]


async def tools(asked: Asked) -> Any:
    called: list[Any] = []

    async def weather(context: Any, arguments: str) -> str:
        called.append([context.tool_name, json.loads(arguments)])
        return "sunny"

    tool = FunctionTool("weather", "The weather in a city", CITY, weather)
    one = agent(
        asked,
        tools=[tool],
        tool_use_behavior="stop_on_first_tool",
        settings={"tool_choice": "required"},
    )
    await Runner.run(one, asked.text)
    async for _ in Runner.run_streamed(one, asked.text).stream_events():
        pass
    return called


async def schema(asked: Asked) -> Any:
    answer = (await Runner.run(agent(asked, output_type=Answer), asked.text)).final_output
    return {"yes": answer.yes}


async def usage(asked: Asked) -> Any:
    whole = await Runner.run(agent(asked), asked.text)
    streamed = Runner.run_streamed(agent(asked), asked.text)
    async for _ in streamed.stream_events():
        pass
    both = (one.context_wrapper.usage for one in (whole, streamed))
    return [[one.input_tokens, one.output_tokens] for one in both]


async def cancel(asked: Asked) -> Any:
    running = Runner.run_streamed(agent(asked), asked.text)
    async for event in running.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            running.cancel()
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
