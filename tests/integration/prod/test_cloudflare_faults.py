"""What a user meets when Cloudflare refuses, stumbles or dawdles: a retry that helps, or a message
that tells, and in either case a stack that the next update repairs."""

from __future__ import annotations

import pytest

from tests.doubles.cloudflare_api import CloudflareApi, Fault
from tests.integration.prod.conftest import Edge, ProdStack


@pytest.fixture(scope="module")
def stack(prod: ProdStack) -> ProdStack:
    prod.change(services=["chat-interface", "phi-inference"], protect=False)
    return prod


def test_a_name_that_is_taken_is_told(stack: ProdStack, api: CloudflareApi) -> None:
    """Somebody else's tunnel of that name stays untouched."""
    api.make_tunnel_by_hand(f"llm-stack-{stack.name}-chat-interface")
    (theirs,) = api.tunnels
    failed = stack.up(check=False)
    told = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "1013" in told
    assert "You already have a tunnel with this name" in told
    assert "Traceback" not in told, told.partition("Traceback")[2]
    assert api.token not in told
    assert list(api.tunnels) == [theirs]
    assert len(api.calls("POST .*/cfd_tunnel$")) == 1, "what cannot help is not tried again"
    del api.tunnels[theirs]


def test_a_stumbling_api_is_tried_again_and_a_refusal_is_told(
    stack: ProdStack, api: CloudflareApi
) -> None:
    api.faults = [
        Fault(r"POST .*/cfd_tunnel$", status=500),
        Fault(r"PUT .*/configurations", status=429, headers={"retry-after": "1"}),
        Fault(r"PUT .*/configurations", status=409, message="try again"),
        Fault(r"GET .*/token", delay=3),
        Fault(r"POST .*/dns_records", status=403, message="Authentication error", times=99),
    ]
    api.seen.clear()
    failed = stack.up(check=False)
    told = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "403" in told
    assert "Authentication error" in told
    assert "dns_records" in told, "the user reads which permission is missing"
    assert "Traceback" not in told, told.partition("Traceback")[2]
    assert api.token not in told
    assert [seen.status for seen in api.calls(r"POST .*/cfd_tunnel$")] == [500, 200]
    assert [seen.status for seen in api.calls(r"PUT .*/configurations")] == [429, 409, 200]
    assert len(api.tunnels) == 1


def test_a_permission_that_the_token_of_a_tunnel_needs_is_told(
    stack: ProdStack, api: CloudflareApi
) -> None:
    """Reading it counts as editing: with a token that may only read, Cloudflare answers 401."""
    api.faults = [Fault(r"GET .*/token", status=401, code=1001, message="Unauthorized", times=99)]
    failed = stack.up(check=False)
    told = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "Traceback" not in told, told.partition("Traceback")[2]
    assert f"llm-stack-{stack.name}-chat-interface: the tunnel's token could not be read" in told
    assert "401" in told


def test_the_next_update_repairs_a_half_made_stack(
    stack: ProdStack, api: CloudflareApi, edge: Edge
) -> None:
    api.faults = []
    (tunnel_id,) = api.tunnels
    stack.up()
    assert list(api.tunnels) == [tunnel_id], "what was made is kept"
    hostname = f"chat-{stack.name}.example.com"
    assert [record["name"] for record in api.records.values()] == [hostname]
    assert edge.request(hostname, "/v1/models").status_code == 200
    stack.pulumi("preview", "--expect-no-changes")


def test_what_somebody_deleted_by_hand_is_made_again(stack: ProdStack, api: CloudflareApi) -> None:
    api.records.clear()
    stack.pulumi("refresh", "--yes", "--skip-preview")
    stack.up()
    assert len(api.records) == 1


def test_a_bad_token_is_told_with_the_connectors_words(
    stack: ProdStack, api: CloudflareApi
) -> None:
    """The token has the right form, but the tunnel's data in it are damaged."""
    original = api.tunnel_token
    api.tunnel_token = lambda tunnel_id: "bm90IGEgdG9rZW4="  # type: ignore[method-assign]
    failed = stack.up(check=False)
    api.tunnel_token = original  # type: ignore[method-assign]
    told = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "its program ended" in told
    assert "Provided Tunnel token is not valid." in told
    connectors = stack.connectors()
    assert {c.status for c in connectors.values()} == {"running"}, "the one that works goes on"
    stack.up()
    stack.pulumi("preview", "--expect-no-changes")


def test_a_tunnel_in_use_elsewhere_is_told_and_destroyed_once_it_is_free(
    stack: ProdStack, api: CloudflareApi
) -> None:
    connected, api.is_connected = api.is_connected, lambda tunnel_id: True
    failed = stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
    told = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "1022" in told
    assert "active connections" in told
    api.is_connected = connected
    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert api.is_empty
