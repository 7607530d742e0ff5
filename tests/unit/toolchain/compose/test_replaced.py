"""Services that the stack itself takes the place of."""

from __future__ import annotations

import pytest

from tests.unit.toolchain.compose.conftest import Importing, outcome


@pytest.mark.parametrize(
    "service",
    [
        "{image: 'cloudflare/cloudflared', command: 'tunnel run --token ${T}', depends_on: [web]}",
        "{image: 'cloudflare/cloudflared', command: tunnel --url http://web:80}",
        "{image: 'cloudflare/cloudflared', command: tunnel, environment: ['TUNNEL_URL=http://web:80']}",
        "{build: ./cloudflared, command: 'tunnel run --token ${T}', depends_on: [web]}",
        "{image: 'own/tunnel:1', command: 'tunnel --no-autoupdate run', depends_on: [web]}",
    ],
)
def test_tunnels(compose: Importing, service: str) -> None:
    one = outcome(compose(f"services: {{tunnel: {service}, web: {{image: 'a:1'}}}}"), "tunnel")
    assert one.replaced is not None
    assert not one.written
    assert "public: true in the entry of web" in one.replaced.instead
    assert "llm-stack:tunnel.services.web.mode named" in one.replaced.instead
    assert ("cloudflareTunnelToken-web" in one.replaced.instead) is ("--token" in service)


def test_what_watches_containers(compose: Importing) -> None:
    one = outcome(
        compose("services: {w: {image: containrrr/watchtower}, web: {image: 'a:1'}}"), "w"
    )
    assert one.replaced is not None
    assert "monitor" in one.replaced.reason
