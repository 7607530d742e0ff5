"""Which Host headers name a server."""

from __future__ import annotations

import pytest

from app.shared.host_names import HostNames

NAMES = HostNames(("Chat.Example.com", "*.trycloudflare.com", "lan.example:8443"))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "localhost",
        "localhost:8080",
        "LOCALHOST:8080",
        "localhost.",
        "a.localhost",
        "127.0.0.1:8080",
        "[::1]:8080",
        "[::ffff:10.0.0.1]",
        "192.168.1.7",
        "chat-interface:8080",
        "my_server",
        "host.docker.internal:8080",
        "chat.example.com",
        "CHAT.example.COM:443",
        "chat.example.com.",
        "quiet-1a.trycloudflare.com",
        "lan.example",
        "lan.example:9000",
    ],
)
def test_names_of_the_server_are_allowed(header: str) -> None:
    assert NAMES.allow(header)


@pytest.mark.parametrize(
    "header",
    [
        "evil.example",
        "evil.example:8080",
        "chat.example.com.evil.example",
        "evilchat.example.com",
        "trycloudflare.com",
        "127.0.0.1.nip.io",
        "localhost.evil.example",
        "localhost:8080@evil.example",
        "user@localhost",
        "localhost/evil.example",
        "local host",
        "[::1",
        "xn--bcher-kva.example",
        "bücher.example",
        "1.2.3",
        "internal.example",
        ":8080",
        "..",
        "a" * 100_000 + ".example",
    ],
)
def test_other_names_are_refused(header: str) -> None:
    assert not NAMES.allow(header)


def test_a_stack_can_allow_every_name() -> None:
    assert HostNames(("*",)).allow("evil.example")
