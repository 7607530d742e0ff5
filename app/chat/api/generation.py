"""ASGI application for requests to models: finds the API by its path, and relays the request.

It is in front of the framework, whose routing and dependencies need as much CPU time for a request
as the relay of some ten tokens (`python -m benchmarks.gateway` measures it).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.chat.access.admission import admitted_of
from app.chat.access.priority import lowered
from app.chat.api.routes import Gateway
from app.chat.apis.api import Api
from app.chat.apis.table import API_OF_PATH
from app.chat.fleet.body_cap import body_cap
from app.chat.openai.errors import ApiError, internal_error
from app.chat.relay.exchange import Exchange
from app.chat.relay.generation_request import read_request
from app.chat.request_record import record_in
from app.chat.server.direct_body import direct_body


class Generation:
    """:param others: serves all other paths and methods.
    :param gateway: exists only while the application runs.
    """

    def __init__(self, others: ASGIApp, gateway: Callable[[], Gateway]) -> None:
        self._others = others
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        api = API_OF_PATH.get(scope["path"]) if is_post else None
        if api is None:
            await self._others(scope, receive, send)
            return
        record = record_in(scope)
        try:
            exchange = await _exchange(Request(scope, receive), self._gateway(), api)
            await exchange.run(send, direct_body(scope))
        except ApiError as error:
            record.outcome = error.code
            await error.response(scope)(scope, receive, send)
        except Exception:
            # For the accounting; the request log reports it and answers.
            record.outcome = internal_error().code
            raise


async def _exchange(request: Request, gateway: Gateway, api: Api) -> Exchange:
    """The exchange for a request; raises ApiError for what cannot be answered."""
    admitted = admitted_of(request)
    record = record_in(request.scope)
    record.share = lowered(record.share, request.headers)
    models = admitted.caller.models
    cap = partial(body_cap, gateway.fleet, api, models)
    generation = await read_request(request, api, gateway.settings, cap)
    pool, prompt = gateway.fleet.route(generation.model, api, generation.body, models)
    generation.check(pool.card.id, pool.context, pool.slots_of_replica)
    task = generation.task_for(pool.card.id, prompt)
    admitted.hold_tokens(generation.body, generation.prompt_tokens, generates=api.generates)
    record.cost = task.weight
    record.model = pool.card.id
    record.streamed = generation.streams
    settings, answers = gateway.settings, gateway.answers
    return Exchange(task, pool, gateway.upstream, settings, record, answers)
