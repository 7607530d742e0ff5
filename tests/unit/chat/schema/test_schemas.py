"""What a client may send: which fields are refused, and which requests of real clients pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.chat.apis.table import API_OF_PATH
from app.chat.openai.errors import ApiError
from app.chat.settings import UnknownFields

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hi"}]


def problem_of(
    body: dict[str, Any], path: str = CHAT, unknown: UnknownFields = UnknownFields.REFUSE
) -> tuple[str, str] | None:
    """The field that is refused, and the message; None if the body passes."""
    schema = API_OF_PATH[path].schema
    try:
        schema.check(body, unknown)
        schema.check_required(body)
    except ApiError as error:
        return error.param or "", error.message
    return None


def tool(parameters: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": parameters, **more}}


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        value = {"type": "array", "items": value}
    return value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"function": {"name": "f"}}]}, "tools.0.type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name"),
        ({"tools": [tool(nested(80))]}, "tools.0.function.parameters"),
        ({"tools": [tool()] * 513}, "tools"),
        ({"messages": [{"content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages.0.content.0.type"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": MESSAGES * 9000}, "messages"),
        ({"repeat_last_n": 2**31 - 1}, "repeat_last_n"),
        ({"dry_penalty_last_n": 40_000_000}, "dry_penalty_last_n"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"n_probs": 32_000}, "n_probs"),
        ({"logprobs": 100}, "logprobs"),
        ({"n": 0}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": True}, "n"),
        ({"best_of": 1000}, "best_of"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"temperature": float("inf")}, "temperature"),
        ({"stop": ["x"] * 65}, "stop"),
        ({"stop": "x" * 513}, "stop"),
        ({"logit_bias": {str(token): 1 for token in range(2000)}}, "logit_bias"),
        ({"samplers": ["top_k"] * 100}, "samplers"),
        ({"dry_sequence_breakers": ["x"] * 17}, "dry_sequence_breakers"),
        ({"grammar": "root ::= " + "(" * 20_000}, "grammar"),
        ({"grammar_triggers": []}, "grammar_triggers"),
        ({"chat_parser": "{}"}, "chat_parser"),
        ({"json_schema": nested(80)}, "json_schema"),
        ({"json_schema": {"enum": ["x"] * 1001}}, "json_schema"),
        ({"json_schema": {"type": "string", "pattern": "^" + "(" * 60}}, "json_schema"),
        ({"json_schema": {"properties": {str(n): {} for n in range(501)}}}, "json_schema"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": nested(80)}}},
            "response_format.json_schema.schema",
        ),
        ({"guided_regex": "(" * 60}, "guided_regex"),
        ({"chat_template_kwargs": {"a": nested(30)}}, "chat_template_kwargs"),
        ({"metadata": {"a": "x" * 20_000}}, "metadata"),
        ({"stream": 1}, "stream"),
        ({"model": ""}, "model"),
    ],
)
def test_a_field_out_of_its_range_is_refused_by_its_name(
    fields: dict[str, Any], param: str
) -> None:
    problem = problem_of({"model": "m", "messages": MESSAGES, **fields})
    assert problem is not None
    assert problem[0] == param


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/completions", {}, "prompt"),
        ("/v1/completions", {"prompt": ["a"] * 3000}, "prompt"),
        ("/v1/completions", {"prompt": [1, -1]}, "prompt"),
        ("/v1/completions", {"prompt": [True]}, "prompt.0"),
        ("/v1/completions", {"prompt": "a", "grammar": "(" * 100}, "grammar"),
        ("/v1/embeddings", {"input": ["a"] * 3000}, "input"),
        ("/v1/embeddings", {"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ("/v1/rerank", {"query": "a", "documents": ["b"] * 5000}, "documents"),
        ("/v1/rerank", {"documents": ["b"]}, "query"),
        ("/v1/responses", {"input": "a", "grammar": "(" * 100}, "grammar"),
        (
            "/v1/responses",
            {"input": "a", "tools": [{"type": "function", "name": "f", "parameters": nested(80)}]},
            "tools.0.parameters",
        ),
        ("/v1/messages", {"messages": [{"content": "a"}]}, "messages.0.role"),
        (
            "/v1/messages",
            {"messages": MESSAGES, "tools": [{"name": "f", "input_schema": nested(80)}]},
            "tools.0.input_schema",
        ),
        ("/v1/messages", {"messages": MESSAGES, "stop_sequences": ["a"] * 100}, "stop_sequences"),
        ("/infill", {"input_prefix": "a", "repeat_last_n": 2**31}, "repeat_last_n"),
        ("/tokenize", {"content": [1.5]}, "content"),
        ("/detokenize", {"tokens": ["a"]}, "tokens"),
    ],
)
def test_each_api_has_its_limits(path: str, body: dict[str, Any], param: str) -> None:
    problem = problem_of(body, path)
    assert problem is not None
    assert problem[0] == param


def test_an_unknown_field_is_refused_with_the_nearest_name() -> None:
    problem = problem_of({"messages": MESSAGES, "temperatur": 1})
    assert problem is not None
    assert problem[0] == "temperatur"
    assert "did you mean 'temperature'?" in problem[1]
    assert "unknownFields: pass" in problem[1]


def test_an_unknown_field_passes_where_the_stack_says_so() -> None:
    def check(value: Any) -> tuple[str, str] | None:
        body = {"messages": MESSAGES, "my_field": value}
        return problem_of(body, unknown=UnknownFields.PASS)

    assert check({"a": [1, 2, "x"]}) is None
    assert check("x" * 20_000) is not None
    assert check(nested(80)) is not None
    assert check([0] * 2000) is not None


def test_only_a_few_unknown_fields_pass() -> None:
    body = {"messages": MESSAGES, **{f"field_{number}": 1 for number in range(1000)}}
    assert problem_of(body, unknown=UnknownFields.PASS) is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": None, "tools": None, "stop": None, "n": None},
        {
            "store": False,
            "metadata": {"a": "b"},
            "user": "u",
            "prompt_cache_key": "k",
            "service_tier": "auto",
            "parallel_tool_calls": True,
            "reasoning_effort": "low",
            "verbosity": "low",
            "safety_identifier": "s",
            "stream_options": {"include_usage": True},
            "max_completion_tokens": 100,
            "logit_bias": {"50256": -100},
            "modalities": ["text"],
        },
        {"guided_json": {"type": "object"}, "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1},
        {"max_tokens": 16.0, "n_predict": -1, "seed": -1, "top_k": -1, "repeat_last_n": -1},
        {"logprobs": True, "top_logprobs": 20},
        {"logit_bias": [[15, False], ["word", -1.5]]},
        {"grammar": 'root ::= "yes" | "no"\n'},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}, "tools": [tool({})]},
        {"tools": [tool({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}})]},
        {"tools": [{"type": "web_search"}]},
        {"thinking": {"type": "disabled"}, "enable_thinking": False, "think": True},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"response_format": {"type": "json_object", "schema": {"type": "object"}}},
    ],
)
def test_fields_of_real_clients_pass(fields: dict[str, Any]) -> None:
    assert problem_of({"model": "m", "messages": MESSAGES, **fields}) is None


def test_messages_of_real_clients_pass() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 500_000}}
    messages = [
        {"role": "developer", "content": "Be brief"},
        {"role": "user", "content": [{"type": "text", "text": "What?"}, image], "name": "alice"},
        {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "done"}]},
        {"role": "assistant", "content": "Yes", "reasoning_content": "Hm", "annotations": []},
    ]
    assert problem_of({"model": "m", "messages": messages}) is None


def chain(number: int, rule: Callable[[int], str]) -> str:
    rules = "\n".join(f"r{at} ::= {rule(at + 1)}" for at in range(number))
    return f'root ::= r0\n{rules}\nr{number} ::= "a"\n'


@pytest.mark.parametrize(
    "grammar",
    [
        pytest.param('root ::= "' + "a" * 40_000 + '"{2000}', id="repeats a long text"),
        pytest.param(chain(1000, lambda n: f"r{n}"), id="a long chain of rules"),
        pytest.param(chain(34, lambda n: f'r{n} | r{n} "b"'), id="doubles with each rule"),
        pytest.param(
            'e ::= ""\n' + chain(34, lambda n: f'e r{n} | e r{n} "b"'), id="doubles after nothing"
        ),
        pytest.param('root ::= "' + '\\"' * 40_000, id="one long text"),
        pytest.param("root ::= " + "a " * 20_000, id="many parts"),
    ],
)
def test_a_grammar_that_costs_too_much_is_refused(grammar: str) -> None:
    assert problem_of({"messages": MESSAGES, "grammar": grammar}) is not None


def test_a_schema_that_doubles_with_each_definition_is_refused() -> None:
    definitions: dict[str, Any] = {
        f"d{at}": {"anyOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(30)
    }
    schema = {"$defs": {**definitions, "d30": {"type": "string"}}, "$ref": "#/$defs/d0"}
    assert problem_of({"messages": MESSAGES, "json_schema": schema}) is not None


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, id="itself"),
        pytest.param({"allOf": [{"$ref": "#/allOf/0"}]}, id="itself in an array"),
        pytest.param({"allOf": [{"$ref": "#/allOf/ +0x"}]}, id="a number as C++ reads it"),
        pytest.param({"items": {"$ref": "#/items"}}, id="not in a definition"),
        pytest.param(
            {
                "items": {"allOf": [{"$ref": "#/$defs/a"}]},
                "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
            },
            id="each other",
        ),
        pytest.param(
            {"allOf": [{"$ref": "#/x~1y"}], "x~1y": {"$ref": "#/x~1y"}, "x/y": {}}, id="no escapes"
        ),
        pytest.param({"properties": {"": {"$ref": "#/properties/"}}}, id="an empty name"),
    ],
)
def test_a_reference_that_leads_to_itself_is_refused(schema: dict[str, Any]) -> None:
    """llama-server would follow it until its stack is full."""
    problem = problem_of({"messages": MESSAGES, "json_schema": schema})
    assert problem == ("json_schema", "'json_schema': has a $ref that leads to itself")


def test_a_long_chain_of_references_is_refused_and_a_short_one_passes() -> None:
    def chained(length: int) -> dict[str, Any]:
        definitions = {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(length)}
        return {"$defs": {**definitions, f"d{length}": {"type": "null"}}, "$ref": "#/$defs/d0"}

    assert problem_of({"messages": MESSAGES, "json_schema": chained(40)}) is None
    assert problem_of({"messages": MESSAGES, "json_schema": chained(60)}) is not None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a" * 100_000: {"type": "null"}}},
        {"$ref": "#/$defs/" + "!" * 100_000},
    ],
    ids=["property", "reference"],
)
def test_a_long_name_in_a_schema_is_refused(schema: dict[str, Any]) -> None:
    """llama-server works on the characters of a name recursively."""
    assert problem_of({"messages": MESSAGES, "json_schema": schema}) is not None


def test_a_schema_that_refers_to_itself_passes() -> None:
    tree = {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
    }
    schema = {"$defs": {"tree": tree}, "$ref": "#/$defs/tree"}
    assert problem_of({"messages": MESSAGES, "json_schema": schema}) is None
