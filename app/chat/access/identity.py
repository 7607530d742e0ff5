"""Callers by the signed identity that Cloudflare Access adds to each request.

Source: Cloudflare's documentation, "Validate JWTs" of Access. A token is for one application
(`aud`) of one team (`iss`), and is signed with one of the team's keys, which Cloudflare replaces.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import jwt

from app.chat.access.caller import Caller, TokensToday
from app.chat.fleet.upstream import external_tls
from app.chat.openai.errors import ApiError
from app.chat.settings import AccessApplications, AccessSettings
from app.shared.json_log import Log

_log = Log(__name__)

HEADER = "cf-access-jwt-assertion"
ALGORITHM = "RS256"
_REQUEST_SECONDS = 5.0
_LONGEST_LIST_BYTES = 64 * 1024
# Tokens with an unknown key ask for the keys again, at most so often.
_SHORTEST_PAUSE = 10.0
_LONGEST_AGE = 3600.0
# Clocks differ.
_LEEWAY_SECONDS = 30
_LONGEST_EMAIL = 254
_MOST_CALLERS = 10_000
# No key can have a name with a space.
LABEL = "cloudflare access"


class SigningKeys:
    """The public keys of a team by their id. Without a response, the keys of before stay valid."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._asked: float | None = None
        self._lock = asyncio.Lock()

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """The key, or None if the team does not have it; raises ApiError 503 without any keys."""
        if key_id not in self._keys or self._older_than(_LONGEST_AGE):
            async with self._lock:
                # Other requests may have read the keys while this one waited.
                if self._older_than(_LONGEST_AGE if key_id in self._keys else _SHORTEST_PAUSE):
                    await self._read()
        if not self._keys:
            message = "the signing keys of Cloudflare Access cannot be read; try again later"
            raise ApiError(503, message, code="access_keys_unavailable", retry_after=10)
        return self._keys.get(key_id)

    def _older_than(self, seconds: float) -> bool:
        return self._asked is None or self._clock() - self._asked >= seconds

    async def _read(self) -> None:
        self._asked = self._clock()
        try:
            keys = _parsed(await self._content())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            _log.warning("the signing keys of Cloudflare Access cannot be read", reason=reason)
        else:
            self._keys = keys

    async def _content(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        connector = aiohttp.TCPConnector(ssl=external_tls())
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=True) as session,
            session.get(self._url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            content = bytearray()
            while chunk := await response.content.readany():
                content += chunk
                if len(content) > _LONGEST_LIST_BYTES:
                    raise ValueError("the list is too large")
        return bytes(content)


def _parsed(content: bytes) -> dict[str, jwt.PyJWK]:
    """The RSA keys of a list; raises ValueError without one."""
    try:
        listed = json.loads(content)["keys"]
        keys = {
            str(one["kid"]): jwt.PyJWK.from_dict(one, ALGORITHM)
            for one in listed
            if one.get("kty") == "RSA"
        }
    except (KeyError, TypeError, AttributeError, RecursionError, jwt.PyJWTError) as error:
        raise ValueError(f"another form: {type(error).__name__}") from None
    if not keys:
        raise ValueError("it has no RSA keys")
    return keys


class AccessIdentities:
    """The people whom Cloudflare Access lets in, as callers.

    :param keys_url: None for that of Cloudflare.
    """

    def __init__(
        self,
        settings: AccessSettings,
        clock: Callable[[], float],
        tokens_today: TokensToday,
        keys_url: str | None = None,
    ) -> None:
        self._settings = settings
        self._keys_url = keys_url
        self.use(settings.known_applications)
        self._clock = clock
        self._tokens_today = tokens_today
        self._callers: dict[str, Caller] = {}
        # Another one after each start: nobody can find the addresses of a log with it.
        self._pseudonyms = secrets.token_bytes(32)

    def use(self, applications: AccessApplications) -> None:
        """From now on, identities for these applications are valid, and no others."""
        self._applications = applications
        self._keys = SigningKeys(self._keys_url or applications.keys_url)

    async def caller(self, headers: Mapping[str, str]) -> Caller | None:
        """The person of a request; None without a token, and for the token of a machine.

        Raises ApiError 401 for a token that is not valid, 503 if that cannot be checked.
        """
        token = headers.get(HEADER)
        if token is None:
            return None
        email = (await self._claims(token)).get("email")
        if not email:
            return None
        if not isinstance(email, str) or len(email) > _LONGEST_EMAIL or "@" not in email:
            raise _invalid("its e-mail address has a wrong form")
        return self._caller_named(email.lower())

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            head = jwt.get_unverified_header(token)
            key_id = head.get("kid")
            if head.get("alg") != ALGORITHM or not isinstance(key_id, str):
                raise _invalid(f"it is not signed with {ALGORITHM}")
            if (key := await self._keys.key(key_id)) is None:
                raise _invalid("its signing key is unknown")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._applications.audiences,
                issuer=self._applications.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise _invalid("it has expired; sign in again") from None
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise _invalid("its signature, issuer or audience is wrong") from None
        return claims

    def _caller_named(self, email: str) -> Caller:
        caller = self._callers.pop(email, None)
        if caller is None:
            caller = Caller(
                email,
                self._settings,
                self._clock,
                self._tokens_today,
                label=LABEL,
                logged=email if self._settings.log_emails else self._pseudonym(email),
            )
            if len(self._callers) >= _MOST_CALLERS:
                # The one that was used the longest time ago.
                del self._callers[next(iter(self._callers))]
        self._callers[email] = caller
        return caller

    def _pseudonym(self, email: str) -> str:
        """A name for the log, the same one until the gateway restarts."""
        digest = hmac.digest(self._pseudonyms, email.encode(), "sha256")
        return f"{LABEL} {digest[:6].hex()}"


def _invalid(reason: str) -> ApiError:
    message = f"the identity of Cloudflare Access is not valid: {reason}"
    return ApiError(401, message, code="invalid_access_token")
