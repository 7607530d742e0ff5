"""Simon Willison's `llm`, configured as its users do it: in extra-openai-models.yaml."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

# Before the import, which reads it.
os.environ["LLM_USER_PATH"] = tempfile.mkdtemp()

import llm

from tests.integration.clients.programs.features import SCHEMA, Asked, run


def configure(asked: Asked) -> None:
    entry = {
        "model_id": "gateway",
        "model_name": asked.model,
        "api_base": f"{asked.url}/v1",
        "supports_tools": True,
        "supports_schema": True,
    }
    # JSON is YAML.
    file = Path(os.environ["LLM_USER_PATH"]) / "extra-openai-models.yaml"
    file.write_text(json.dumps([entry]), encoding="utf-8")


def response(asked: Asked, **more: Any) -> Any:
    configure(asked)
    model = llm.get_model("gateway")
    options = {"temperature": 0, "max_tokens": asked.most_tokens}
    return model.prompt(asked.text, key="x", **options, **more)


async def chat(asked: Asked) -> Any:
    return response(asked, stream=False).text()


async def stream(asked: Asked) -> Any:
    return [part for part in response(asked) if part]


async def tools(asked: Asked) -> Any:
    def weather(city: str) -> str:
        """The weather in a city."""
        return "sunny"

    made = [response(asked, tools=[weather], stream=streams) for streams in (False, True)]
    return [[call.name, call.arguments] for one in made for call in one.tool_calls()]


async def schema(asked: Asked) -> Any:
    return json.loads(response(asked, schema=SCHEMA).text())


async def usage(asked: Asked) -> Any:
    found = [response(asked, stream=streams).usage() for streams in (False, True)]
    return [[one.input, one.output] for one in found]


async def cancel(asked: Asked) -> Any:
    """As its users do it: Ctrl-C at the command."""
    configure(asked)
    # Shells have programs in the background ignore it, and what these start as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = ["-o", "temperature", "0", "-o", "max_tokens", str(asked.most_tokens)]
    words = ["-m", "llm", "prompt", asked.text, "-m", "gateway", "--key", "x", "--no-log", *options]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdin=DEVNULL, stdout=PIPE
    )
    assert process.stdout is not None
    first = await process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    await process.communicate()
    return len(first)


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
