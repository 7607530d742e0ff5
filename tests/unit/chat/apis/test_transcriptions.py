"""Transcriptions: forms from the client's own package, hostile forms, models without audio."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from aiohttp import web
from openai import AsyncOpenAI

from tests.doubles.api_answers import TRANSCRIPT, TRANSCRIPT_EVENTS, answering
from tests.doubles.model_server import ModelServer, ReceivedRequest
from tests.doubles.running_gateway import running, settings
from tests.unit.chat.conftest import client_of

PATH = "/v1/audio/transcriptions"
FILE = ("hi.wav", b"RIFF", "audio/wav")
FORM = "multipart/form-data; boundary=x"


@pytest.fixture
async def url(server: ModelServer) -> AsyncIterator[str]:
    """A gateway with a body limit of 64 KiB; `server` answers every form."""
    server.props = {"modalities": {"vision": False, "audio": True}}
    server.behaviour = answering(TRANSCRIPT, TRANSCRIPT_EVENTS)
    async with running(settings(server.url, limits={"body_bytes": 64 * 1024})) as one:
        yield one


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(url) as one:
        yield one


def part(name: str, content: bytes = b"a", more: str = "") -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = b"--x--\r\n"
MODEL = part("model", b"m")
SOUND = part("file", b"RIFF", '; filename="a.wav"')


async def test_the_openai_client_gets_a_text(url: str, server: ModelServer) -> None:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        made = await client.audio.transcriptions.create(
            model="m", file=FILE, language="en", temperature=0.2
        )
    assert made.text == "Hello"
    received = server.received[0].body
    assert received["file"] == ("hi.wav", "audio/wav", b"RIFF")
    assert (received["model"], received["language"]) == ("m", "en")
    assert float(received["temperature"]) == 0.2


async def test_the_openai_client_gets_a_stream(url: str) -> None:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        stream = await client.audio.transcriptions.create(model="m", file=FILE, stream=True)
        events = [event async for event in stream]
    assert [event.delta for event in events if event.type == "transcript.text.delta"] == [
        "Hel",
        "lo",
    ]
    assert events[-1].type == "transcript.text.done"


async def test_a_refused_format_is_an_error_of_the_openai_client(url: str) -> None:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.audio.transcriptions.create(model="m", file=FILE, response_format="srt")
    assert refused.value.param == "response_format"


async def test_a_model_without_audio_is_named(url: str, server: ModelServer) -> None:
    server.props = {"modalities": {"vision": False, "audio": False}}
    async with (
        running(settings(server.url)) as other,
        client_of(other) as client,
    ):
        while (await client.get("/v1/models/m")).json()["capabilities"]["audio"] is None:
            pass
        refused = await client.post(PATH, data={"model": "m"}, files={"file": FILE})
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["code"], "'m' cannot read audio" in error["message"]) == (
        "capability_missing",
        True,
    )
    assert not server.received


@pytest.mark.parametrize(
    ("type_", "body", "reason"),
    [
        ("application/json", b"{}", "must be multipart/form-data"),
        ("multipart/form-data", MODEL + SOUND + END, "with a boundary"),
        ("multipart/form-data; boundary=" + "x" * 300, MODEL + END, "Boundary length"),
        (FORM, b"", "last boundary is missing"),
        (FORM, MODEL + SOUND, "last boundary is missing"),
        (FORM, b"no form", "the body is not a valid form"),
        (FORM, MODEL + END, "'file': is missing"),
        (FORM, SOUND + END, "'model': is missing"),
        (FORM, MODEL + SOUND + SOUND + END, "'file': is there twice"),
        (FORM, MODEL + MODEL + SOUND + END, "'model': is there twice"),
        (FORM, MODEL + part("file", b"", '; filename="a"') + END, "must not be empty"),
        (FORM, MODEL + SOUND + part("b", b"", '; filename="a"') + END, "'b': is a file"),
        (FORM, MODEL + SOUND + part("n y", b"a") + END, "Content-Disposition"),
        (FORM, MODEL + part("a", b"a") * 100 + END, "'a': is there twice"),
        (FORM, MODEL + part("a[]", b"a") * 100 + END, "more than 64 parts"),
        (FORM, MODEL + SOUND + part("prompt", b"\xff") + END, "'prompt': is not UTF-8"),
        (FORM, MODEL + SOUND + part("prompt", b"a" * 20_000) + END, "characters; allowed"),
        (FORM, MODEL + SOUND + part("stream", b"maybe") + END, "'stream': must be a boolean"),
        (FORM, MODEL + SOUND + part("temperature", b"nan") + END, "must be between"),
        (FORM, MODEL + SOUND + part("max_tokens", b"9" * 5000) + END, "must be an integer"),
        (FORM, MODEL + SOUND + part("grammar", b"((((") + END, "field of chat completions"),
        (FORM, MODEL + SOUND + part("langauge", b"en") + END, "did you mean 'language'"),
        (FORM, b"--x\r\n" + b"A: b\r\n" * 20 + b"\r\na\r\n" + END, "header count"),
        (FORM, b"--x\r\nA: " + b"b" * 2000 + b"\r\n\r\na\r\n" + END, "header size"),
    ],
)
async def test_a_wrong_form_gets_the_reason(
    client: httpx.AsyncClient, server: ModelServer, type_: str, body: bytes, reason: str
) -> None:
    refused = await client.post(PATH, content=body, headers={"content-type": type_})
    assert refused.status_code == 400
    assert reason in refused.json()["error"]["message"]
    assert not server.received


async def test_a_file_over_the_limit_of_bodies_is_refused(client: httpx.AsyncClient) -> None:
    file = ("a.wav", bytes(64 * 1024), "audio/wav")
    refused = await client.post(PATH, data={"model": "m"}, files={"file": file})
    assert refused.status_code == 413


async def test_names_and_types_of_files_cannot_add_headers(
    client: httpx.AsyncClient, server: ModelServer
) -> None:
    sound = part("file", b"RIFF", '; filename="../\xe4\\"; x=y.wav"\r\nContent-Type: a/b; c=d')
    answer = await client.post(PATH, content=MODEL + sound + END, headers={"content-type": FORM})
    assert answer.json() == TRANSCRIPT
    name, type_, content = server.received[0].body["file"]
    assert name.endswith("y.wav")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz._-")
    assert (type_, content) == ("application/octet-stream", b"RIFF")


async def test_a_server_that_has_no_audio_is_not_asked_again(
    client: httpx.AsyncClient, server: ModelServer
) -> None:
    async def refuse(received: ReceivedRequest) -> web.StreamResponse:
        message = "The current model does not support audio input."
        error = {"code": 501, "message": message, "type": "not_supported_error"}
        return web.Response(status=501, body=json.dumps({"error": error}))

    server.behaviour = refuse
    refused = await client.post(PATH, data={"model": "m"}, files={"file": FILE})
    assert refused.status_code == 400
    assert "does not support audio input" in refused.json()["error"]["message"]
    assert len(server.received) == 1
