"""Finds the caller of a request."""

from __future__ import annotations

from starlette.datastructures import Headers

from app.chat.access.caller import Caller
from app.chat.access.credentials import authorization_of
from app.chat.access.keys import KeyRing


class Authentication:
    """By API key."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def caller(self, headers: Headers) -> Caller:
        """The caller; raises ApiError 401."""
        return self._keys.caller(authorization_of(headers))
