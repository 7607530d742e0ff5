"""A fake model server on a real socket, whose behaviour a test sets for each request."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

Behaviour = Callable[["ReceivedRequest"], Awaitable[web.StreamResponse]]


class ReceivedRequest:
    """One request that arrived."""

    def __init__(self, request: web.Request, body: dict[str, Any]) -> None:
        self.request = request
        self.body = body
        self.path = request.path
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        # Set when the gateway closes the connection before the response is complete.
        self.abandoned = asyncio.Event()

    async def stream(self) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(self.request)
        return response

    def cut(self) -> None:
        """Reset the connection, as when the process is killed."""
        assert self.request.transport is not None
        self.request.transport.abort()


def chunk(delta: dict[str, Any], finish: str | None = None, **top: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    payload = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **top,
    }
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


TIMINGS = {"prompt_n": 7, "cache_n": 0, "predicted_n": 2, "predicted_per_second": 40.0}
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
HELLO = (
    chunk({"role": "assistant", "content": None}),
    chunk({"content": "Hel"}),
    chunk({"content": "lo"}),
    chunk({}, "stop", timings=TIMINGS, usage=USAGE),
    b"data: [DONE]\n\n",
)


async def say_hello(received: ReceivedRequest) -> web.StreamResponse:
    response = await received.stream()
    for piece in HELLO:
        await response.write(piece)
    return response


class HeldResponses:
    """A behaviour that holds every response until the test releases them."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def __call__(self, received: ReceivedRequest) -> web.StreamResponse:
        await self.released.wait()
        return await say_hello(received)


def refuse(status: int, error: object, **headers: str) -> Behaviour:
    async def behave(received: ReceivedRequest) -> web.StreamResponse:
        return web.json_response({"error": error}, status=status, headers=headers)

    return behave


def listing(*models: str) -> bytes:
    """A list of models in OpenAI's form."""
    data = [{"id": model, "object": "model", "created": 1, "owned_by": "x"} for model in models]
    return json.dumps({"object": "list", "data": data}).encode()


def router_listing(**states: str) -> bytes:
    """The list of models of a llama-server in router mode, with the state of each."""
    data = [
        {"id": model, "object": "model", "status": {"value": state}}
        for model, state in states.items()
    ]
    return json.dumps({"object": "list", "data": data}).encode()


class ModelServer:
    """Answers every request with `behaviour`, and records the requests."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = say_hello
        self.received: list[ReceivedRequest] = []
        self.arrived = asyncio.Condition()
        self.health: tuple[int, dict[str, Any]] = (200, {"status": "ok"})
        self.hang_health = False
        self.hanging_checks = 0
        self.health_requests: list[Mapping[str, str]] = []
        """Headers of the health checks."""
        self.listing: tuple[int, bytes] = (200, listing())
        """Status and content of the list of models."""
        self.hang_listing = False
        self.props: dict[str, Any] = {"is_sleeping": False}
        self.props_queries: list[str] = []
        self.hang_props = False
        """As llama-server does while it loads its model again."""
        self.paths: list[str] = []
        """Of the requests that ask for its state."""
        self.list_requests: list[Mapping[str, str]] = []
        """Headers of the requests for the list of models."""
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def wait_for(self, number: int) -> ReceivedRequest:
        """The request with this number (from 1), as soon as it has arrived."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.received) >= number)
        return self.received[number - 1]

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/props", self._props)
        app.router.add_get("/{path:.*}/models", self._list)
        app.router.add_post("/{path:.*}", self._generate)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        _, bound_port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{bound_port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _health(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.health_requests.append(request.headers)
        if self.hang_health:
            self.hanging_checks += 1
            await asyncio.Event().wait()
        status, body = self.health
        return web.json_response(body, status=status)

    async def _props(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.props_queries.append(request.query_string)
        if self.hang_props:
            await asyncio.Event().wait()
        return web.json_response(self.props)

    async def _list(self, request: web.Request) -> web.Response:
        self.list_requests.append(request.headers)
        if self.hang_listing:
            await asyncio.Event().wait()
        status, content = self.listing
        return web.Response(body=content, status=status, content_type="application/json")

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        received = ReceivedRequest(request, await _body_of(request))
        async with self.arrived:
            self.received.append(received)
            self.arrived.notify_all()
        try:
            return await self.behaviour(received)
        except (asyncio.CancelledError, ConnectionError):
            received.abandoned.set()
            raise


async def _body_of(request: web.Request) -> dict[str, Any]:
    """The fields of a JSON body, or of a form with its files as `(name, type, content)`."""
    if request.content_type != "multipart/form-data":
        body: dict[str, Any] = await request.json()
        return body
    fields: dict[str, Any] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            with value.file as file:
                fields[name] = (value.filename, value.content_type, file.read())
        else:
            fields[name] = value
    return fields


@contextlib.asynccontextmanager
async def model_server(port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[ModelServer]:
    server = ModelServer()
    await server.start(port, host)
    try:
        yield server
    finally:
        await server.stop()
