"""HTTP routes of the gateway, except those of requests to models (`generation.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from app.chat.access.admission import admitted_of
from app.chat.access.caller import Caller
from app.chat.api.model_status import describe, status
from app.chat.fleet.fleet import Fleet
from app.chat.fleet.upstream import UpstreamClient
from app.chat.openai.errors import ApiError
from app.chat.relay.answer_memory import AnswerMemory
from app.chat.server.metrics import CONTENT_TYPE, Metrics
from app.chat.settings import GatewaySettings
from app.chat.usage.recorder import UsageRecorder

# Cloudflare sets these on every request through a tunnel; a client cannot remove them.
_TUNNEL_HEADERS = ("cf-ray", "cf-connecting-ip")


@dataclass(frozen=True)
class Gateway:
    """The objects that the routes use."""

    settings: GatewaySettings
    fleet: Fleet
    metrics: Metrics
    upstream: UpstreamClient
    answers: AnswerMemory
    usage: UsageRecorder
    started: int


# `async` although they await nothing: FastAPI runs other functions in a thread, which would cost
# each request two thread switches.
async def _gateway(request: Request) -> Gateway:
    gateway = request.app.state.gateway
    assert isinstance(gateway, Gateway)
    return gateway


async def _caller(request: Request) -> Caller:
    return admitted_of(request).caller


TheGateway = Annotated[Gateway, Depends(_gateway)]
TheCaller = Annotated[Caller, Depends(_caller)]

router = APIRouter()


@router.get("/health")
async def health() -> dict[str, str]:
    """The process is alive; independent of the models."""
    return {"status": "ok"}


@router.get("/ready")
async def ready(gateway: TheGateway) -> Response:
    """200 if at least one model is ready, otherwise 503. A warning fails no request; the monitor
    shows it."""
    report = status(gateway.fleet, gateway.started)
    content = {"ready": report["ready"], "models_ready": report["models_ready"]}
    if gateway.usage.problem:
        content["warning"] = f"usage is not written: {gateway.usage.problem}"
    return JSONResponse(content, 200 if report["ready"] else 503)


@router.get("/status")
async def all_status(gateway: TheGateway, caller: TheCaller) -> dict[str, Any]:
    """The models that the caller may use, with state and reason."""
    report = status(gateway.fleet, gateway.started)
    models = [model for model in report["models"] if _may_use(caller, model["id"])]
    page = gateway.settings.status_page
    return {**report, "models": models, "status_page": page and page.model_dump()}


@router.get("/metrics")
async def metrics(request: Request, gateway: TheGateway) -> Response:
    """For Prometheus on the stack's network only: the labels expose API key names."""
    if any(name in request.headers for name in _TUNNEL_HEADERS):
        raise ApiError(404, "not found", code="not_found")
    return Response(gateway.metrics.text(), headers={"content-type": CONTENT_TYPE})


@router.get("/v1/models")
async def models(gateway: TheGateway, caller: TheCaller) -> dict[str, Any]:
    pools = [pool for pool in gateway.fleet if _may_use(caller, pool.card.id)]
    return {"object": "list", "data": [describe(pool, gateway.started) for pool in pools]}


@router.get("/v1/models/{name:path}")
async def model(name: str, gateway: TheGateway, caller: TheCaller) -> dict[str, Any]:
    return describe(gateway.fleet.named(name, caller.models), gateway.started)


def _may_use(caller: Caller, model: str) -> bool:
    return caller.models is None or model in caller.models
