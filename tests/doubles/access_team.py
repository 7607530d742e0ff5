"""A team of Cloudflare Access: signs identities, and serves its public keys."""

from __future__ import annotations

import functools
import time
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

TEAM = "example"
AUDIENCE = "a" * 64


@functools.cache
def _private_key(key_id: str) -> rsa.RSAPrivateKey:
    """The same for all tests: making one takes long."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class AccessTeam:
    """The keys of one team; `rotate` replaces the one that signs."""

    def __init__(self) -> None:
        self.status = 200
        self.requests = 0
        self.url = ""
        self.rotate("first")

    def rotate(self, key_id: str) -> None:
        self.key_id = key_id
        self._key = _private_key(key_id)
        public = self._key.public_key()
        jwk = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
        self.listed = {"keys": [{**jwk, "kid": key_id, "alg": "RS256", "use": "sig"}]}
        self.public_pem = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def token(self, **changes: Any) -> str:
        """An identity of jo@example.com, with other claims where a test changes them."""
        return jwt.encode(self.claims(**changes), self._key, "RS256", headers={"kid": self.key_id})

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "aud": [AUDIENCE],
            "email": "jo@example.com",
            "exp": now + 600,
            "iat": now - 10,
            "nbf": now - 10,
            "iss": f"https://{TEAM}.cloudflareaccess.com",
            "type": "app",
            "sub": "1",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/cdn-cgi/access/certs", self._certs)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/cdn-cgi/access/certs"
        return runner

    async def _certs(self, request: web.Request) -> web.Response:
        self.requests += 1
        return web.json_response(self.listed, status=self.status)
