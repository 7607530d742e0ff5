"""`serves`: what a service may offer to the gateway, and the text of each problem."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.chat import settings as gateway
from components.config import serves
from components.config.problems import Source
from components.config.schema import read
from components.config.serves import ServerUrl, Serves, Task

SOURCE = Source("services.yaml")


def problem(content: dict[str, Any]) -> str:
    (found,) = read(Serves, content, SOURCE, at=("services", "vllm", "serves")).problems
    return str(found).removeprefix("services.yaml: services.vllm.serves.")


def test_everything_has_a_default() -> None:
    serves = Serves.model_validate({})
    assert (serves.path, serves.models, serves.concurrency) == ("/v1", None, 8)
    assert serves.tasks == (Task.CHAT,)


def test_models_are_named_or_discovered() -> None:
    named = Serves.model_validate({"models": ["openai/gpt-4.1-mini", "llama3.2:3b"]})
    assert named.models == ("openai/gpt-4.1-mini", "llama3.2:3b")
    assert Serves.model_validate({"models": "discover"}).models is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"models": "gpt-4"},
            "models: is not a list of models; found 'gpt-4'; allowed: a list of model ids, or "
            "discover",
        ),
        (
            {"models": None},
            "models: is not a list of models; allowed: a list of model ids, or discover",
        ),
        (
            {"models": []},
            "models: is an empty list; found []; allowed: a list of model ids, or discover",
        ),
        (
            {"models": ["a b"]},
            "models: has an entry that is not a model id: 'a b'; found ['a b']; allowed: 1 to 128 "
            "letters, digits and . _ : / @ + -",
        ),
        (
            {"models": ["auto"]},
            "models: has the model 'auto', which clients send to let the gateway choose; found "
            "['auto']; allowed: another id",
        ),
        (
            {"models": ["a", "a"]},
            "models: has 'a' 2 times; found ['a', 'a']; allowed: each id once",
        ),
        (
            {"tasks": []},
            "tasks: is an empty list; found []; allowed: some of chat, completion, embedding, "
            "rerank, transcription, speech, image",
        ),
        (
            {"tasks": ["chat", "chat"]},
            "tasks: has 'chat' more than once; found ['chat', 'chat']; allowed: each task once",
        ),
        (
            {"tasks": ["embeddings"]},
            "tasks.0: is not a valid value; found 'embeddings'; did you mean 'embedding'? allowed: "
            "chat, completion, embedding, image, rerank, speech, transcription",
        ),
        ({"concurrency": 0}, "concurrency: is too small; found 0; allowed: at least 1"),
        ({"concurrency": 1025}, "concurrency: is too large; found 1025; allowed: at most 1024"),
        (
            {"path": "v1"},
            "path: is not a valid path; found 'v1'; allowed: text that begins with /, without "
            "spaces, ? and #",
        ),
        (
            {"health": "/health?x=1"},
            "health: is not a valid path; found '/health?x=1'; allowed: text that begins with /, "
            "without spaces, ? and #",
        ),
        (
            {"api_key": "API KEY"},
            "api_key: is not a valid name of a secret; found 'API KEY'; allowed: 1 to 64 of a-z, "
            "0-9, - and _, beginning with a letter",
        ),
        (
            {"model": ["a"]},
            "model: unknown key; did you mean 'models'? allowed: api_key, concurrency, health, "
            "models, path, tasks",
        ),
    ],
    ids=str,
)
def test_a_problem_names_the_value_and_what_is_allowed(
    content: dict[str, Any], message: str
) -> None:
    assert problem(content) == message


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.7:8000",
        "https://models.github.ai",
        "https://example.com/openai",
        "http://[2001:db8::1]:8080",
        "http://gpu_machine.local:11434",
    ],
)
def test_a_url_has_a_host_and_maybe_a_port_and_a_path(url: str) -> None:
    adapter = TypeAdapter[str](ServerUrl)
    assert adapter.validate_python(url) == url
    assert adapter.validate_python(f"{url}/") == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com",
        "http://",
        "http:///v1",
        "https://user@example.com",
        "https://user:password@example.com",
        "https://example.com?key=1",
        "https://example.com/#x",
        "https://example.com:port",
        "https://exa mple.com",
        "https://example.com\n",
    ],
)
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[str](ServerUrl).validate_python(url)


def test_the_gateway_has_the_same_tasks_and_names_of_models() -> None:
    assert [task.value for task in Task] == [task.value for task in gateway.ModelTask]
    assert f"^{serves._MODEL_ID}$" == gateway.MODEL_ID


@pytest.mark.parametrize("field", ["path", "concurrency", "tasks"])
def test_the_gateway_has_the_same_defaults(field: str) -> None:
    ours, theirs = Serves.model_fields[field], gateway.ServerSettings.model_fields[field]
    assert ours.default == theirs.default
