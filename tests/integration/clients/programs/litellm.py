"""LiteLLM's Python package."""

from __future__ import annotations

import json
import os
from typing import Any

# Before the import: its list of prices would be downloaded.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from litellm import acompletion

from tests.integration.clients.programs.features import CITY, SCHEMA, Asked, cancelled, run

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}


async def ask(asked: Asked, **more: Any) -> Any:
    return await acompletion(
        model=f"openai/{asked.model}",
        api_base=f"{asked.url}/v1",
        api_key="x",
        messages=[{"role": "user", "content": asked.text}],
        temperature=0,
        max_tokens=asked.most_tokens,
        **more,
    )


async def chat(asked: Asked) -> Any:
    return (await ask(asked)).choices[0].message.content


async def stream(asked: Asked) -> Any:
    chunks = await ask(asked, stream=True)
    texts = [part.choices[0].delta.content async for part in chunks]
    return [text for text in texts if text]


async def tools(asked: Asked) -> Any:
    forced = {"tools": [WEATHER], "tool_choice": "required"}
    [whole] = (await ask(asked, **forced)).choices[0].message.tool_calls
    name, arguments = "", ""
    async for part in await ask(asked, stream=True, **forced):
        for call in part.choices[0].delta.tool_calls or ():
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    found = (whole.function.name, whole.function.arguments), (name, arguments)
    return [[name, json.loads(arguments)] for name, arguments in found]


async def schema(asked: Asked) -> Any:
    answer = await ask(asked, response_format=FORM)
    return json.loads(answer.choices[0].message.content)


async def usage(asked: Asked) -> Any:
    whole = (await ask(asked)).usage
    chunks = await ask(asked, stream=True, stream_options={"include_usage": True})
    [last] = [part.usage async for part in chunks if getattr(part, "usage", None)]
    return [[one.prompt_tokens, one.completion_tokens] for one in (whole, last)]


async def cancel(asked: Asked) -> Any:
    return await cancelled(ask(asked, stream=True))


async def retry(asked: Asked) -> Any:
    return (await ask(asked, num_retries=2)).choices[0].message.content


run(
    {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "schema": schema,
        "usage": usage,
        "cancel": cancel,
        "error": chat,
        "retry": retry,
    }
)
