"""What a model is for, through the gateway: chat, embeddings, reranking."""

from __future__ import annotations

import base64
import json
import math
import struct
import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from tests.doubles.running_gateway import running_in_thread, settings
from tests.integration.inference import Inference, address, ask, wait_until_healthy
from tests.integration.models.conftest import SMOLLM2

# llama-server enforces a tool call only with a template that has tools; SmolLM2's own has none.
TEMPLATE = Path(__file__).with_name("tools.jinja")
SUM = [{"role": "user", "content": "What is 2 + 2?"}]
WEATHER = {
    "name": "weather",
    "description": "The weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
    },
}


def answer(gateway: str, path: str, question: dict[str, Any]) -> Any:
    """What the gateway answers with the model of that name, which is also its task."""
    model = {"/v1/embeddings": "embedding", "/v1/rerank": "rerank"}.get(path, "chat")
    with ask(f"{gateway}{path}", {"model": model, **question}) as response:
        return json.load(response)


def chat(gateway: str, **fields: Any) -> Any:
    """A completion of a gateway, or of a model server, which ignores the model's name."""
    question = {"messages": SUM, "temperature": 0, "max_tokens": 20, **fields}
    return answer(gateway, "/v1/chat/completions", question)


def text_of(completion: Any) -> str:
    text: str = completion["choices"][0]["message"]["content"]
    return text


def weather_in(city: str) -> list[dict[str, Any]]:
    """A question about the weather, and what a model does with it."""
    function = {"name": "weather", "arguments": json.dumps({"city": city})}
    return [
        {"role": "user", "content": f"What is the weather in {city}?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": city, "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": city, "content": "sunny"},
        {"role": "assistant", "content": "Sunny."},
    ]


@pytest.fixture(scope="module")
def chatting(containers: Inference) -> Container:
    return wait_until_healthy(
        containers.start(
            SMOLLM2,
            more_files={"chat_template.jinja": TEMPLATE.read_text(encoding="utf-8")},
            chat_template="chat_template.jinja",
            context=1024,
        )
    )


@pytest.fixture(scope="module")
def embedding(containers: Inference) -> Container:
    return wait_until_healthy(
        containers.start(SMOLLM2, task="embedding", pooling="mean", context=640)
    )


@pytest.fixture(scope="module")
def reranking(containers: Inference) -> Container:
    return wait_until_healthy(containers.start(SMOLLM2, task="rerank", context=512))


@pytest.fixture(scope="module")
def gateway(chatting: Container, embedding: Container, reranking: Container) -> Iterator[str]:
    """The URL of a gateway in front of the three models."""
    models = [
        {"id": name, "tasks": tasks, "replicas": [address(container)]}
        for name, tasks, container in (
            ("chat", ["chat", "completion"], chatting),
            ("embedding", ["embedding"], embedding),
            ("rerank", ["rerank"], reranking),
        )
    ]
    with running_in_thread(settings(models=models)) as url:
        yield url


class TestChat:
    def test_a_question_is_answered(self, gateway: str) -> None:
        assert "4" in text_of(chat(gateway))

    def test_an_answer_follows_a_json_schema(self, gateway: str) -> None:
        schema = {
            "type": "object",
            "properties": {"city": {"type": "string"}, "capital": {"type": "boolean"}},
            "required": ["city", "capital"],
            "additionalProperties": False,
        }
        form = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
        completion = chat(gateway, response_format=form, max_tokens=100)
        content = json.loads(text_of(completion))
        assert content.keys() == {"city", "capital"}
        assert isinstance(content["capital"], bool)

    def test_a_tool_is_called(self, gateway: str) -> None:
        completion = chat(
            gateway,
            messages=[*weather_in("Rome"), *weather_in("Oslo"), weather_in("Paris")[0]],
            tools=[{"type": "function", "function": WEATHER}],
            tool_choice="required",
            max_tokens=100,
        )
        [call] = completion["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == "weather"
        assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}


class TestEmbedding:
    def embeddings(self, gateway: str, *texts: str) -> list[list[float]]:
        found = answer(gateway, "/v1/embeddings", {"input": texts})
        return [one["embedding"] for one in found["data"]]

    def test_texts_of_like_meaning_are_near_each_other(self, gateway: str) -> None:
        cat, like_it, other = self.embeddings(
            gateway,
            "A cat sleeps on the warm sofa in the living room.",
            "On the cosy couch in the lounge, a kitten is taking a nap.",
            "The central bank raised its interest rate by half a percent.",
        )
        assert cosine(cat, like_it) > cosine(cat, other)

    def test_an_embedding_can_be_base64(self, gateway: str) -> None:
        [numbers] = self.embeddings(gateway, "hello")
        question = {"input": ["hello"], "encoding_format": "base64"}
        encoded = answer(gateway, "/v1/embeddings", question)["data"][0]["embedding"]
        decoded = struct.unpack(f"<{len(numbers)}f", base64.b64decode(encoded))
        assert list(decoded) == pytest.approx(numbers, abs=1e-5)

    def test_a_text_may_be_as_long_as_the_context(self, gateway: str) -> None:
        # llama-server refuses more tokens than its batch, 512 by default.
        [numbers] = self.embeddings(gateway, "word " * 520)
        assert math.hypot(*numbers) == pytest.approx(1, abs=1e-3)


class TestRerank:
    DOCUMENTS = ("Paris is the capital of France.", "Bananas are yellow.", "A car has wheels.")

    def test_every_document_has_a_score_the_best_first(self, gateway: str) -> None:
        question = {"query": "What is the capital of France?", "documents": self.DOCUMENTS}
        results = answer(gateway, "/v1/rerank", question)["results"]
        scores = [result["relevance_score"] for result in results]
        assert sorted(result["index"] for result in results) == [0, 1, 2]
        assert scores == sorted(scores, reverse=True)

    def test_top_n_limits_the_results(self, gateway: str) -> None:
        question = {"query": "France", "documents": self.DOCUMENTS, "top_n": 1}
        assert len(answer(gateway, "/v1/rerank", question)["results"]) == 1

    def test_a_model_with_another_task_refuses_to_rerank(self, gateway: str) -> None:
        with pytest.raises(urllib.error.HTTPError) as refused:
            answer(gateway, "/v1/rerank", {"model": "embedding", "query": "a", "documents": ["b"]})
        assert refused.value.code == 400
        refused.value.close()


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / (math.hypot(*one) * math.hypot(*other))
