"""Refusals of a real llama-server through the gateway, and what it reports that its model can do."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest
from docker.models.containers import Container

from tests.doubles.running_gateway import running_in_thread, settings
from tests.integration.inference import Inference, address, ask, wait_until_healthy
from tests.integration.models.conftest import SMOLLM2

# Refuses a conversation whose first message is not the user's. It has no tools.
TEMPLATE = (
    "{% if messages[0].role != 'user' %}{{ raise_exception('The user must begin') }}{% endif %}"
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
)
USER = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.fixture(scope="module")
def strict(containers: Inference) -> Container:
    return wait_until_healthy(
        containers.start(
            SMOLLM2,
            more_files={"chat_template.jinja": TEMPLATE},
            chat_template="chat_template.jinja",
            context=512,
        )
    )


@pytest.fixture(scope="module")
def gateway(strict: Container) -> Iterator[str]:
    with running_in_thread(settings(address(strict))) as url:
        while model(url)["capabilities"]["tools"] is None:
            pass
        yield url


def model(url: str) -> Any:
    with ask(f"{url}/v1/models/m") as response:
        return json.load(response)


def refused(url: str, **fields: Any) -> Any:
    """The error of a chat completion, which has status 400."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(f"{url}/v1/chat/completions", {"model": "m", "max_tokens": 4, **fields})
    assert caught.value.code == 400
    return json.load(caught.value)["error"]


@pytest.mark.parametrize("stream", [False, True])
def test_the_reason_of_a_chat_template_reaches_the_client(gateway: str, stream: bool) -> None:
    error = refused(gateway, messages=[{"role": "assistant", "content": "x"}, USER], stream=stream)
    assert error["code"] == "upstream_refused"
    assert error["message"].endswith("refused the messages: The user must begin")


def test_an_overflow_has_openais_code_and_both_numbers(gateway: str) -> None:
    error = refused(gateway, messages=[{"role": "user", "content": "word " * 900}])
    assert error["code"] == "context_length_exceeded"
    assert error["n_prompt_tokens"] > error["n_ctx"] > 0


def test_capabilities_and_context_are_those_of_the_model(gateway: str) -> None:
    listed = model(gateway)
    assert not any(listed["capabilities"][name] for name in ("tools", "vision", "audio"))
    assert listed["context"] > 0


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"messages": [USER], "tools": [TOOL], "tool_choice": "required"}, "call a tool"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "cannot read images"),
    ],
)
def test_what_the_model_lacks_is_named(gateway: str, fields: dict[str, Any], missing: str) -> None:
    error = refused(gateway, **fields)
    assert error["code"] == "capability_missing"
    assert missing in error["message"]
