"""Authenticates requests, and checks their limits, before their bodies are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.chat.access.caller import Caller, TokenHold
from app.chat.access.credentials import authorization_of
from app.chat.access.fair_shares import FairShares, address_share
from app.chat.access.identity import AccessIdentities
from app.chat.access.keys import KeyRing
from app.chat.access.token_estimate import estimated_completion
from app.chat.apis.table import is_api_path
from app.chat.fleet.fair_queue import Share
from app.chat.openai.errors import ApiError
from app.chat.request_record import RequestRecord, record_in
from app.chat.settings import Limits

_STATE_KEY = "admitted"
_RETRY_AFTER_SECONDS = 5.0
# It has the names of models, so it needs a key too.
_STATUS = "/status"


@dataclass(eq=False)
class Admitted:
    """One admitted request: its caller, and what it holds of the limits."""

    caller: Caller
    share: Share
    bodies: FairShares
    held: int = 0
    """Bytes of its body, counted towards the limit for all bodies."""
    tokens: TokenHold | None = None

    def add(self, size: int) -> None:
        """Count bytes before they are stored; raises ApiError 429 over the limit."""
        if not self.bodies.take(self.share, size):
            raise _full("bytes of request bodies")
        self.held += size

    def hold_tokens(self, body: Mapping[str, Any], prompt: int, *, generates: bool) -> None:
        """Reserve the estimated tokens of a request; raises ApiError 429 over a limit of the key.

        :param prompt: its estimated tokens.
        """
        completion = estimated_completion(body) if generates else 0
        self.tokens = self.caller.hold(prompt, completion)

    def release(self) -> None:
        self.bodies.give_back(self.share, self.held)
        self.held = 0


class Admission:
    """ASGI middleware: a request that is refused here costs no memory for its body.

    :param identities: of Cloudflare Access; None if they are not callers.
    :param ended: is called with the record of each request, and the tokens that it holds.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        keys: KeyRing,
        ended: Callable[[RequestRecord, TokenHold | None], None],
        identities: AccessIdentities | None = None,
    ) -> None:
        self._identities = identities
        self._app = app
        self._keys = keys
        self._ended = ended
        self._open = FairShares(limits.open_requests)
        self._bodies = FairShares(limits.all_bodies_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _needs_caller(scope):
            await self._app(scope, receive, send)
            return
        record = record_in(scope)
        admitted: Admitted | None = None
        try:
            with ExitStack() as held:
                try:
                    caller = await self._caller(Headers(scope=scope))
                    admitted = self._admit(caller, scope, record, held)
                except ApiError as error:
                    record.outcome = error.code
                    await error.response(scope)(scope, receive, send)
                    return
                await self._app(scope, receive, send)
        finally:
            if scope["method"] == "POST":
                self._ended(record, admitted.tokens if admitted is not None else None)

    async def _caller(self, headers: Headers) -> Caller:
        """The owner of the key, or else the person whom Access let in; raises ApiError 401, 503."""
        authorization = authorization_of(headers)
        person = None
        if self._identities is not None:
            # Also beside a key: an invalid token never passes.
            person = await self._identities.caller(headers)
        if person is not None and (authorization is None or self._keys.open):
            return person
        return self._keys.caller(authorization)

    def _admit(
        self, caller: Caller, scope: Scope, record: RequestRecord, held: ExitStack
    ) -> Admitted:
        """Check the limits of the caller; raises ApiError 429."""
        record.key, record.key_label, record.logged_key = caller.name, caller.label, caller.logged
        record.rate_limits = caller.rate_limits
        record.share = share = share_of(caller, scope)
        if not self._open.take(share):
            raise _full("open requests")
        held.callback(self._open.give_back, share)
        if scope["method"] == "POST":
            held.enter_context(caller.admitted())
        admitted = scope["state"][_STATE_KEY] = Admitted(caller, share, self._bodies)
        held.callback(admitted.release)
        return admitted


def share_of(caller: Caller, scope: Scope) -> Share:
    """The share of a caller. Without keys, that of the network address of the connection.

    Headers with another address are ignored: a client could get any number of shares with them.
    """
    if not caller.anonymous:
        return caller.share
    return address_share((scope.get("client") or ("",))[0])


def admitted_of(request: Request) -> Admitted:
    admitted = request.scope["state"][_STATE_KEY]
    assert isinstance(admitted, Admitted)
    return admitted


def _needs_caller(scope: Scope) -> bool:
    return scope["method"] == "POST" or scope["path"] == _STATUS or is_api_path(scope["path"])


def _full(what: str) -> ApiError:
    message = f"the gateway has too many {what}; try again later"
    return ApiError(429, message, code="gateway_full", retry_after=_RETRY_AFTER_SECONDS)
