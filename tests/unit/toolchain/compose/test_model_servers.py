"""Servers of models behind the gateway."""

from __future__ import annotations

import pytest

from tests.unit.toolchain.compose.conftest import Importing, changed, outcome


@pytest.mark.parametrize(
    ("keys", "port", "tasks"),
    [
        ("image: 'vllm/vllm-openai:v1', command: --model x/y", 8000, None),
        ("image: 'vllm/vllm-openai:v1', command: --model x --task embed", 8000, ["embedding"]),
        ("image: 'vllm/vllm-openai:v1', command: --model x/reranker", 8000, ["rerank"]),
        ("image: 'own/x:1', command: vllm serve BAAI/bge --runner pooling", 8000, ["embedding"]),
        ("image: 'lmsysorg/sglang:v1', command: python3 -m sglang.launch_server", 30000, None),
        ("image: 'ollama/ollama:1'", 11434, ["chat", "embedding"]),
        ("image: 'ghcr.io/mostlygeek/llama-swap:cuda'", 8080, ["chat", "embedding"]),
        ("image: 'localai/localai:v3'", 8080, ["chat", "embedding"]),
        ("image: 'ghcr.io/ggml-org/llama.cpp:server', command: -m /m.gguf", 8080, None),
        ("image: 'ghcr.io/ggml-org/llama.cpp:server', command: --embedding", 8080, ["embedding"]),
        ("image: 'ghcr.io/ggml-org/llama.cpp:server', command: --reranking", 8080, ["rerank"]),
        ("image: 'ghcr.io/speaches-ai/speaches:1', ports: ['80:8000']", 8000, ["transcription"]),
        ("image: 'ghcr.io/remsky/kokoro-fastapi:1', ports: ['80:8880']", 8880, ["speech"]),
    ],
)
def test_each_server(compose: Importing, keys: str, port: int, tasks: list[str] | None) -> None:
    one = outcome(compose(f"services: {{llm: {{{keys}}}}}"), "llm")
    assert one.entry["port"] == port
    assert one.entry["serves"]["models"] == "discover"
    assert one.entry["serves"].get("tasks") == tasks
    assert "the gateway offers its models" in changed(one)


@pytest.mark.parametrize(
    ("model", "task"), [("BAAI/bge-m3", "embedding"), ("x/reranker", "rerank")]
)
def test_text_embeddings_inference_has_no_list_of_models(
    compose: Importing, model: str, task: str
) -> None:
    image = "ghcr.io/huggingface/text-embeddings-inference:1.9"
    one = outcome(
        compose(f"services: {{llm: {{image: '{image}', command: --model-id {model}}}}}"), "llm"
    )
    assert one.entry["serves"] == {"models": [model], "health": "/health", "tasks": [task]}


@pytest.mark.parametrize(
    "keys",
    [
        "image: 'postgres:17'",
        "image: 'ghcr.io/open-webui/open-webui:main'",
        "image: 'ollama/ollama:1', entrypoint: [/bin/sh, -c], command: ollama pull x",
    ],
)
def test_other_programs_serve_nothing(compose: Importing, keys: str) -> None:
    assert "serves" not in outcome(compose(f"services: {{app: {{{keys}}}}}"), "app").entry


def test_a_server_without_a_port_is_reported(compose: Importing) -> None:
    one = outcome(compose("services: {stt: {image: 'own/whisper:1'}}"), "stt")
    assert "serves" not in one.entry
    assert "Whisper has no port here" in changed(one)


def test_the_key_of_a_server(compose: Importing) -> None:
    one = outcome(
        compose(
            "services: {llm: {image: 'vllm/vllm-openai:v1', environment: ['VLLM_API_KEY=${KEY}']}}"
        ),
        "llm",
    )
    assert one.entry["serves"]["api_key"] == "key"
