"""Fixtures of the gateway's tests: model servers, and a gateway with one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.doubles.model_server import ModelServer, model_server
from tests.doubles.running_gateway import running, settings


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as one:
        yield one


@pytest.fixture
async def other() -> AsyncIterator[ModelServer]:
    async with model_server() as one:
        yield one


@pytest.fixture
async def gateway(server: ModelServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway with one replica of two slots."""
    async with running(settings(server.url)) as url, client_of(url) as client:
        yield client


def client_of(url: str, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False)
