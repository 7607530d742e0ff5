"""Requests that end, freeze or fill a llama-server without limits: at the gateway, and directly."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import httpx
import pytest

from components.config.stack_settings import EngineSource
from tests.integration.conftest import engine_source

CHAT = "/v1/chat/completions"
HI: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 2,
}
SECONDS = 30.0


def chain(number: int, rule: str) -> str:
    """A grammar whose rules each start with the next one."""
    rules = "\n".join(f"r{at} ::= " + rule.format(at + 1) for at in range(number))
    return f'root ::= r0\n{rules}\nr{number} ::= "a"\n'


def nested(levels: int) -> dict[str, Any]:
    """A JSON schema of lists in lists."""
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema, "maxItems": 1}
    return schema


PARAMETERS = {"type": "object", "properties": {"a": nested(50)}}
PROPERTIES = {f"p{number}": {"type": "integer"} for number in range(500)}
GRAMMARS = {
    "nested groups": "root ::= " + "(" * 20_000 + '"a"' + ")" * 20_000,
    "a chain of rules": chain(20_000, "r{0}"),
    "doubles with each rule": chain(34, 'r{0} | r{0} "b"'),
    "repeats a long text": 'root ::= "' + "a" * 40_000 + '"{2000}',
}


def references(number: int) -> dict[str, Any]:
    """A JSON schema whose definitions each refer to the next one."""
    definitions: dict[str, Any] = {f"r{at}": {"$ref": f"#/$defs/r{at + 1}"} for at in range(number)}
    return {"$ref": "#/$defs/r0", "$defs": {**definitions, f"r{number}": {"type": "integer"}}}


SCHEMAS: dict[str, dict[str, Any]] = {
    "a chain of references": references(20_000),
    "a reference to itself": {
        "allOf": [{"$ref": "#/$defs/a"}],
        "$defs": {"a": {"$ref": "#/$defs/a"}},
    },
    "a long name among others": {
        "type": "object",
        "properties": {"a" * 100_000: {"type": "integer"}},
        "additionalProperties": True,
    },
    "a long name of other characters": {
        "type": "object",
        "properties": {"!" * 120_000: {"type": "object", "properties": {"a": {}}}},
    },
    "a long reference": {
        "$ref": "#/$defs/" + "!" * 120_000,
        "$defs": {"!" * 120_000: {"type": "integer"}},
    },
    "many optional properties": {
        "type": "object",
        "properties": {f"p{number}": {"type": "integer"} for number in range(2000)},
    },
}


async def post(url: str, body: dict[str, Any] | bytes) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    async with httpx.AsyncClient(base_url=url, timeout=SECONDS) as client:
        return await client.post(CHAT, content=content, headers=headers)


def refused_for(response: httpx.Response, field: str) -> bool:
    """Whether the gateway refused this field, or the whole body for its size."""
    error = response.json()["error"]
    too_large = error["code"] == "context_length_exceeded"
    return response.status_code == 400 and (error["param"] == field or too_large)


@pytest.mark.parametrize("grammar", GRAMMARS.values(), ids=GRAMMARS.keys())
async def test_a_grammar_that_costs_too_much_is_refused_by_both(
    gateway: str, llama_server: str, grammar: str
) -> None:
    body = {**HI, "grammar": grammar}
    refused = await post(gateway, body)
    assert refused_for(refused, "grammar")
    if engine_source() is EngineSource.COMPILED:
        assert (await post(llama_server, body)).status_code == 400
    assert (await post(gateway, HI)).status_code == 200


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS.keys())
async def test_a_schema_that_costs_too_much_is_refused_by_both(
    gateway: str, llama_server: str, schema: dict[str, Any]
) -> None:
    body = {**HI, "json_schema": schema}
    refused = await post(gateway, body)
    assert refused_for(refused, "json_schema")
    if engine_source() is EngineSource.COMPILED:
        assert (await post(llama_server, body)).status_code == 400
    assert (await post(gateway, HI)).status_code == 200


@pytest.mark.parametrize("field", ["unknown", "chat_template_kwargs", "json_schema", "tools"])
async def test_a_nested_body_is_refused_by_both(
    gateway: str, llama_server: str, field: str
) -> None:
    nested = b"[" * 100_000 + b"]" * 100_000
    body = json.dumps({**HI, field: "here"}).encode().replace(b'"here"', nested)
    refused = await post(gateway, body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_json")
    if engine_source() is EngineSource.COMPILED:
        assert (await post(llama_server, body)).status_code >= 400
    assert (await post(gateway, HI)).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"repeat_last_n": 40_000_000},
        {"dry_multiplier": 1, "dry_penalty_last_n": 40_000_000},
        {"logprobs": True, "top_logprobs": 32_000},
        {"n_probs": 32_000},
        {"dry_multiplier": 1, "dry_sequence_breakers": ["a" * 30] * 2000},
        {"n": 100},
        {"tools": {}},
        {"tools": [{"type": "function"}]},
        {"messages": [{"content": "Hi"}]},
        {"json_schema": {"enum": [f"v{number}" for number in range(20_000)]}},
        {"json_schema": nested(100)},
        {"tools": [{"type": "function", "function": {"name": "a", "parameters": nested(100)}}]},
        {"json_schema": {"type": "string", "pattern": f"^{'(' * 10_000}a{')' * 10_000}$"}},
        {"json_schema": {"type": "string", "pattern": f"^{'(' * 100}a{')' * 100}$"}},
    ],
    ids=lambda fields: ", ".join(fields),
)
async def test_a_field_out_of_its_range_does_not_reach_the_model_server(
    gateway: str, fields: dict[str, Any]
) -> None:
    refused = await post(gateway, {**HI, **fields})
    assert refused.status_code == 400
    assert refused.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "fields",
    [
        {"repeat_last_n": 131_072, "dry_multiplier": 1, "dry_penalty_last_n": 131_072},
        {"logprobs": True, "top_logprobs": 20},
        {"n": 2},
        {"grammar": 'root ::= ("a" | "b")+\n', "logit_bias": {"5": -100}},
        {"json_schema": {"enum": [f"v{number}" for number in range(1000)]}},
        {"json_schema": nested(60)},
        {"json_schema": {"type": "object", "properties": PROPERTIES}},
        {"json_schema": {"type": "string", "pattern": f"^{'(' * 50}a{')' * 50}$"}},
        {"tools": [{"type": "function", "function": {"name": "a", "parameters": PARAMETERS}}]},
        {"dry_multiplier": 1, "dry_sequence_breakers": ["a" * 64] * 16},
        {"stop": ["x" * 512] * 64, "samplers": ["top_k", "temperature"], "seed": -1},
    ],
    ids=lambda fields: ", ".join(fields),
)
async def test_the_largest_values_are_answered(gateway: str, fields: dict[str, Any]) -> None:
    response = await post(gateway, {**HI, **fields})
    assert response.status_code == 200
    assert response.json()["choices"]


async def test_prompts_of_one_request_are_as_many_as_slots(gateway: str) -> None:
    async with httpx.AsyncClient(base_url=gateway, timeout=SECONDS) as client:
        body = {"model": "m", "prompt": ["a", "b", "c"], "max_tokens": 2}
        refused = await client.post("/v1/completions", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "too_many_choices")
        both = await client.post("/v1/completions", json={**body, "prompt": ["a", "b"]})
        assert [choice["index"] for choice in both.json()["choices"]] == [0, 1]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_body_is_answered(gateway: str, encoding: str) -> None:
    compress = gzip.compress if encoding == "gzip" else zlib.compress
    headers = {"content-type": "application/json", "content-encoding": encoding}
    async with httpx.AsyncClient(base_url=gateway, timeout=SECONDS) as client:
        response = await client.post(
            CHAT, content=compress(json.dumps(HI).encode()), headers=headers
        )
    assert response.json()["choices"]
