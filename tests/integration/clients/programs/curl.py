"""curl, as scripts use it."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from typing import Any

from tests.integration.clients.programs.features import CITY, SCHEMA, Asked, run

FORCED = {
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": CITY}}],
    "tool_choice": "required",
}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}


class HttpError(Exception):
    """curl's exit code 22: a status of 400 or more."""


async def started(asked: Asked, *options: str, **more: Any) -> asyncio.subprocess.Process:
    """curl, with the body as `--data` has it, which also sets the method."""
    body = {
        "model": asked.model,
        "messages": [{"role": "user", "content": asked.text}],
        "temperature": 0,
        "max_tokens": asked.most_tokens,
        **more,
    }
    url = f"{asked.url}/v1/chat/completions"
    words = ["--silent", "--no-buffer", "--json", json.dumps(body), url]
    return await asyncio.create_subprocess_exec("curl", *options, *words, stdout=PIPE)


async def ask(asked: Asked, *options: str, **more: Any) -> Any:
    process = await started(asked, *options, **more)
    output, _ = await process.communicate()
    if process.returncode == 22:
        raise HttpError(output.decode())
    return json.loads(output)


async def events(asked: Asked, **more: Any) -> list[Any]:
    output, _ = await (await started(asked, stream=True, **more)).communicate()
    lines = [line for line in output.decode().splitlines() if line.startswith("data: ")]
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


async def chat(asked: Asked) -> Any:
    answer = await ask(asked, "--fail-with-body")
    return answer["choices"][0]["message"]["content"]


async def stream(asked: Asked) -> Any:
    texts = [event["choices"][0]["delta"].get("content") for event in await events(asked)]
    return [text for text in texts if text]


async def tools(asked: Asked) -> Any:
    [whole] = (await ask(asked, **FORCED))["choices"][0]["message"]["tool_calls"]
    name, arguments = "", ""
    for event in await events(asked, **FORCED):
        for call in event["choices"][0]["delta"].get("tool_calls", ()):
            name += call["function"].get("name", "")
            arguments += call["function"].get("arguments", "")
    found = (whole["function"]["name"], whole["function"]["arguments"]), (name, arguments)
    return [[name, json.loads(arguments)] for name, arguments in found]


async def schema(asked: Asked) -> Any:
    answer = await ask(asked, response_format=FORM)
    return json.loads(answer["choices"][0]["message"]["content"])


async def usage(asked: Asked) -> Any:
    whole = (await ask(asked))["usage"]
    streamed = await events(asked, stream_options={"include_usage": True})
    [last] = [event["usage"] for event in streamed if event.get("usage")]
    return [[one["prompt_tokens"], one["completion_tokens"]] for one in (whole, last)]


async def cancel(asked: Asked) -> Any:
    process = await started(asked, stream=True)
    assert process.stdout is not None
    first = await process.stdout.readline()
    process.kill()
    await process.wait()
    return int(first.startswith(b"data: "))


async def retry(asked: Asked) -> Any:
    # Without the body of the response that is retried.
    answer = await ask(asked, "--fail", "--retry", "3")
    return answer["choices"][0]["message"]["content"]


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
