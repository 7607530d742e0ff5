"""Features of real clients, through the gateway, on llama-server with SmolLM2.

docs/clients.md has the table. SmolLM2's chat template has no tools, and the model is too small for
them: the template of these tests has them, with two examples.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.doubles.running_gateway import running_in_thread, settings
from tests.integration.clients import installed
from tests.integration.clients.installed import Client
from tests.integration.inference import (
    Inference,
    address,
    slots_are_busy,
    tokens_predicted,
    wait_until_healthy,
)
from tests.integration.models.conftest import SMOLLM2

PAGE = installed.PROJECT.root / "docs" / "clients.md"
TEMPLATE = installed.HERE / "tools.jinja"
# By name in the documentation: the program and its arguments.
CLIENTS: dict[str, tuple[str, ...]] = {
    "openai (Python)": ("openai_python",),
    "openai (JavaScript)": ("openai_javascript.mjs",),
    "anthropic (Python)": ("anthropic",),
    "OpenAI Agents SDK, Responses": ("openai_agents", "responses"),
    "OpenAI Agents SDK, chat completions": ("openai_agents", "chat"),
    "LangChain (`langchain-openai`)": ("langchain",),
    "LiteLLM": ("litellm",),
    "pydantic-ai": ("pydantic_ai",),
    "AI SDK (`@ai-sdk/openai-compatible`)": ("ai_sdk.mjs",),
    "`llm`": ("llm",),
    "curl": ("curl",),
}
# llama-server has no schemas for Anthropic's API.
NO_SCHEMA = "anthropic (Python)"
# What each raises for a prompt that is too long.
OVERFLOWS = {
    "LangChain (`langchain-openai`)": "ContextOverflowError",
    "LiteLLM": "ContextWindowExceededError",
    "pydantic-ai": "ModelHTTPError",
    "AI SDK (`@ai-sdk/openai-compatible`)": "AI_APICallError",
    "curl": "HttpError",
}
SUM = "What is 2 + 2?"
WEATHER = "What is the weather in Paris?"
ENDLESS = "Count from 1 to 1000, one number on each line."
LONG = 700
CONTEXT = 1024
KINDS = ("prompt", "completion")
SLOTS = 16


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, Client]]:
    """All clients, which start at the same time."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(installed.running(*command))
            for name, command in CLIENTS.items()
        }


@pytest.fixture(params=CLIENTS)
def name(request: pytest.FixtureRequest) -> str:
    one: str = request.param
    return one


@pytest.fixture
def client(clients: dict[str, Client], name: str) -> Client:
    return clients[name]


@pytest.fixture(scope="module")
def smollm2(containers: Inference) -> str:
    """The URL of a llama-server."""
    container = containers.start(
        SMOLLM2,
        more_files={"chat_template.jinja": TEMPLATE.read_text(encoding="utf-8")},
        chat_template="chat_template.jinja",
        context=CONTEXT,
    )
    return address(wait_until_healthy(container))


@pytest.fixture(scope="module")
def gateway(smollm2: str) -> Iterator[str]:
    with running_in_thread(settings(smollm2)) as url:
        yield url


def counted(gateway: str, metric: str, **labels: str) -> int:
    """The sum of a metric's samples with these labels."""
    found = 0
    for line in httpx.get(f"{gateway}/metrics").text.splitlines():
        if line.startswith(f"{metric}{{") and all(
            f'{key}="{value}"' in line for key, value in labels.items()
        ):
            found += int(float(line.rpartition(" ")[2]))
    return found


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until the condition holds: the gateway counts a request after its response."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_documentation_has_every_client_and_its_error() -> None:
    rows = re.findall(
        r"^\| (?P<name>.+?) \|.*\| (?P<error>.+?) \| \S+ \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    errors = {name: OVERFLOWS.get(name, "BadRequestError") for name in CLIENTS}
    assert dict(rows[1:]) == {
        name: "exit code 22" if error == "HttpError" else f"`{error}`"
        for name, error in errors.items()
    }


def test_chat(client: Client, gateway: str) -> None:
    assert "4" in client.run("chat", gateway, SUM)


def test_stream(client: Client, gateway: str) -> None:
    pieces = client.run("stream", gateway, SUM)
    assert len(pieces) > 2
    assert "4" in "".join(pieces)


def test_tools(client: Client, gateway: str) -> None:
    calls = client.run("tools", gateway, WEATHER, most_tokens=60)
    # Unstreamed and streamed.
    assert calls == [["weather", {"city": "Paris"}]] * 2


def test_schema(client: Client, name: str, gateway: str) -> None:
    if name == NO_SCHEMA:
        client.start("schema", gateway, SUM)
        assert "use a tool" in client.result()["error"]["text"]
        return
    answer = client.run("schema", gateway, "Is Paris a city? Answer in JSON.", most_tokens=60)
    assert answer.keys() == {"yes"}
    assert isinstance(answer["yes"], bool)


def test_usage(client: Client, gateway: str) -> None:
    before = [counted(gateway, "gateway_tokens_total", kind=kind) for kind in KINDS]
    # Unstreamed and streamed.
    reported = client.run("usage", gateway, SUM)
    assert len(reported) == 2
    expected = [sum(numbers) for numbers in zip(before, *reported, strict=True)]
    assert min(min(one) for one in reported) > 0
    wait_for(
        lambda: [counted(gateway, "gateway_tokens_total", kind=kind) for kind in KINDS] == expected
    )


def test_cancel(client: Client, gateway: str, smollm2: str) -> None:
    gone = counted(gateway, "gateway_requests_total", outcome="client_gone")
    generated = asyncio.run(tokens_predicted(smollm2))
    assert client.run("cancel", gateway, ENDLESS, most_tokens=LONG) == 1
    wait_for(lambda: counted(gateway, "gateway_requests_total", outcome="client_gone") == gone + 1)
    asyncio.run(slots_are_busy(smollm2, False))
    assert asyncio.run(tokens_predicted(smollm2)) - generated < LONG / 2


def test_error(client: Client, name: str, gateway: str) -> None:
    client.start("error", gateway, "sea " * 2 * CONTEXT)
    error = client.result()["error"]
    assert OVERFLOWS.get(name, "BadRequestError") in error["classes"]
    assert str(CONTEXT) in error["text"]


@pytest.fixture(scope="module")
def retried(clients: dict[str, Client], smollm2: str) -> dict[str, dict[str, Any]]:
    """What each client returns whose first request finds all slots taken and no queue."""
    # Headers at once, also while llama-server has no free slot.
    keep_alive = {"first_comment": 0.01}
    configuration = settings(smollm2, slots=SLOTS, limits={"queue": 0}, keep_alive=keep_alive)
    with running_in_thread(configuration) as url:
        with ExitStack() as held:
            body = {"messages": [{"role": "user", "content": ENDLESS}], "max_tokens": LONG}
            for _ in range(SLOTS):
                more = {"model": "m", "stream": True, "ignore_eos": True}
                held.enter_context(
                    httpx.stream("POST", f"{url}/v1/chat/completions", json={**body, **more})
                )
            for client in clients.values():
                client.start("retry", url, SUM)
            wait_for(lambda: refused(url) >= len(clients))
        return {name: client.result() for name, client in clients.items()}


def refused(gateway: str) -> int:
    return counted(gateway, "gateway_requests_total", outcome="queue_full")


def test_retry(retried: dict[str, dict[str, Any]], name: str) -> None:
    assert "4" in retried[name].get("value", ""), retried[name]
