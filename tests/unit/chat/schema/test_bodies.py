"""Bodies that are not plain JSON, as real clients and hostile ones send them."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Any

import httpx
import pytest

from app.chat.openai.errors import ApiError
from app.chat.schema.json_body import parse_body
from tests.doubles.model_server import ModelServer
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

PATH = "/v1/chat/completions"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi, 世界 😀"}]}
BODY = json.dumps(CHAT).encode()


def _raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", _raw_deflate(BODY)),
        ("identity", BODY),
    ],
    ids=["gzip", "upper case", "zlib", "raw deflate", "identity"],
)
async def test_a_compressed_body_is_decoded(
    gateway: httpx.AsyncClient, server: ModelServer, encoding: str, body: bytes
) -> None:
    response = await gateway.post(PATH, content=body, headers={"content-encoding": encoding})
    assert response.status_code == 200
    assert server.received[0].body["messages"] == CHAT["messages"]


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("br", BODY, 415),
        ("gzip, gzip", BODY, 415),
        ("gzip", BODY, 400),
        ("gzip", gzip.compress(BODY)[:-6], 400),
        ("gzip", gzip.compress(BODY) + b"more", 400),
        ("deflate", b"\x78\x9c", 400),
    ],
    ids=["brotli", "twice", "not compressed", "incomplete", "followed by more", "only a header"],
)
async def test_a_body_that_cannot_be_decoded_is_refused(
    gateway: httpx.AsyncClient, encoding: str, body: bytes, status: int
) -> None:
    response = await gateway.post(PATH, content=body, headers={"content-encoding": encoding})
    assert response.status_code == status
    assert response.json()["error"]["code"] in ("unsupported_encoding", "invalid_encoding")
    if status == 415:
        assert "gzip" in response.headers["accept-encoding"]


async def test_a_small_body_that_decodes_to_a_large_one_is_refused(server: ModelServer) -> None:
    bomb = gzip.compress(b" " * 2**26, compresslevel=9)
    async with running(settings(server.url)) as url, client_of(url) as client:
        response = await client.post(PATH, content=bomb, headers={"content-encoding": "gzip"})
    assert response.status_code == 413
    assert len(bomb) < 2**17


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"model": "m", "messages": [], "model": "n"}', "'model' is there twice"),
        ('{"model": "m", "messages": [{"role": "a", "role": "b"}]}', "'role' is there twice"),
        ('{"model": "m", "temperature": NaN}', "NaN"),
        ('{"model": "m", "temperature": -Infinity}', "Infinity"),
        ('{"model": "m", "metadata": {"a": 1e999}}', "too large"),
        (f'{{"model": "m", "seed": {"9" * 5000}}}', "too many digits"),
        ('{"model": "m", "user": "\\ud800"}', "surrogate"),
        ('{"model": "m", "user": "\\udc00\\ud800"}', "surrogate"),
        ('{"model": "m", "messages": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
        ("", "Expecting value"),
        ('\ufeff{"model": "m"}', "Expecting value"),
    ],
    ids=lambda text: text[:40].encode("ascii", "replace").decode(),
)
def test_what_other_parsers_of_json_refuse_is_refused(body: str, reason: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_body(body.encode(), 20_000)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")
    assert reason in caught.value.message


@pytest.mark.parametrize(
    "body", [BODY.decode().encode("utf-16"), b'{"model": "\xff"}'], ids=["utf-16", "latin-1"]
)
def test_only_utf_8_is_accepted(body: bytes) -> None:
    with pytest.raises(ApiError, match="UTF-8"):
        parse_body(body, 1000)


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[' + b"{}," * 2_700_000 + b"{}]}",
        b'{"messages":[' + b"[]," * 2_700_000 + b"0]}",
        b'{"prompt":[' + b'"",' * 2_700_000 + b"0]}",
        b'{"prompt":[' + b"0," * 4_000_000 + b"0]}",
    ],
    ids=["objects", "arrays", "strings", "numbers"],
)
def test_millions_of_values_are_refused_before_they_are_parsed(body: bytes) -> None:
    start = time.process_time()
    with pytest.raises(ApiError) as caught:
        parse_body(body, 200_000)
    assert caught.value.code == "too_many_values"
    # Parsing them takes seconds, and half a gigabyte.
    assert time.process_time() - start < 1


def test_the_punctuation_of_a_text_does_not_count() -> None:
    text = 'a,b,[c],{d},\\"e\\",\\\\' * 50_000
    body = parse_body(f'{{"prompt": "{text}"}}'.encode(), 1000)
    assert len(body["prompt"]) > 500_000


async def test_a_body_larger_than_the_models_context_is_refused_with_both_numbers(
    server: ModelServer,
) -> None:
    model: dict[str, Any] = {"id": "m", "context": 2048, "replicas": [server.url]}

    def chat(content: Any) -> dict[str, Any]:
        return {"model": "m", "messages": [{"role": "user", "content": content}]}

    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 500_000}}
    async with running(settings(models=[model])) as url, client_of(url) as client:
        refused = await client.post(PATH, json=chat("x" * 500_000))
        with_image = await client.post(PATH, json=chat([image]))
        prompts = {"model": "m", "prompt": "x" * 500_000}
        plain = await client.post("/v1/completions", json=prompts)
        fitting = await client.post(PATH, json=chat("x" * 200_000))
    assert refused.status_code == plain.status_code == 400
    error = refused.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "2048 tokens" in error["message"]
    assert "500" in error["message"]
    assert with_image.status_code == fitting.status_code == 200


async def test_one_request_may_not_ask_for_more_texts_than_the_model_has_slots(
    gateway: httpx.AsyncClient, server: ModelServer
) -> None:
    prompts = {"model": "m", "prompt": ["a", "b", "c"]}
    for path, body in (
        (PATH, {**CHAT, "n": 3}),
        ("/v1/completions", prompts),
        ("/v1/completions", {"model": "m", "prompt": ["a", "b"], "n": 2}),
        ("/v1/completions", {"model": "m", "prompt": "a", "best_of": 3}),
    ):
        response = await gateway.post(path, json=body)
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "too_many_choices"
    assert not server.received
    assert (await gateway.post(PATH, json={**CHAT, "n": 2})).status_code == 200


async def test_an_unknown_field_passes_where_the_stack_says_so(server: ModelServer) -> None:
    configuration = settings(server.url, unknown_fields="pass")
    async with running(configuration) as url, client_of(url) as client:
        response = await client.post(PATH, json={**CHAT, "my_field": 3})
    assert response.status_code == 200
    assert server.received[0].body["my_field"] == 3


async def test_a_body_is_limited_by_the_context_that_the_server_reports(
    server: ModelServer,
) -> None:
    server.props = {"default_generation_settings": {"n_ctx": 512}}
    async with running(settings(server.url)) as url, client_of(url) as client:
        while (await client.get("/v1/models/m")).json()["context"] is None:
            pass
        messages = [{"role": "user", "content": "a" * 300_000}]
        refused = await client.post(
            "/v1/chat/completions", json={"model": "m", "messages": messages}
        )
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["n_ctx"]) == (
        400,
        "context_length_exceeded",
        512,
    )
    assert not server.received
