"""Errors of Cloudflare's API: a retry or a clear message, and a stack that the next update repairs."""

from __future__ import annotations

import pytest

from tests.doubles.cloudflare_api import CloudflareApi, Fault
from tests.integration.prod.conftest import Edge, ProdStack


@pytest.fixture(scope="module")
def stack(prod: ProdStack) -> ProdStack:
    prod.change(services=["chat-interface", "phi-inference"], protect=False)
    return prod


def test_a_tunnel_name_in_use_is_reported(stack: ProdStack, api: CloudflareApi) -> None:
    """The existing tunnel of that name is not changed."""
    api.create_tunnel_in_dashboard(f"llm-stack-{stack.name}-chat-interface")
    (theirs,) = api.tunnels
    failed = stack.up(check=False)
    output = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "1013" in output
    assert "You already have a tunnel with this name" in output
    assert "Traceback" not in output, output.partition("Traceback")[2]
    assert api.token not in output
    assert list(api.tunnels) == [theirs]
    assert len(api.calls("POST .*/cfd_tunnel$")) == 1, "the request is not retried"
    del api.tunnels[theirs]


def test_transient_errors_are_retried_and_a_refusal_is_reported(
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
    output = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "403" in output
    assert "Authentication error" in output
    assert "dns_records" in output, "the message names the missing permission"
    assert "Traceback" not in output, output.partition("Traceback")[2]
    assert api.token not in output
    assert [seen.status for seen in api.calls(r"POST .*/cfd_tunnel$")] == [500, 200]
    assert [seen.status for seen in api.calls(r"PUT .*/configurations")] == [429, 409, 200]
    assert len(api.tunnels) == 1


def test_a_missing_permission_for_the_tunnel_token_is_reported(
    stack: ProdStack, api: CloudflareApi
) -> None:
    """Reading the token needs edit permission: with a read-only token, Cloudflare answers 401."""
    api.faults = [Fault(r"GET .*/token", status=401, code=1001, message="Unauthorized", times=99)]
    failed = stack.up(check=False)
    output = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "Traceback" not in output, output.partition("Traceback")[2]
    assert f"llm-stack-{stack.name}-chat-interface: the tunnel's token could not be read" in output
    assert "401" in output


def test_the_next_update_repairs_a_partly_created_stack(
    stack: ProdStack, api: CloudflareApi, edge: Edge
) -> None:
    api.faults = []
    (tunnel_id,) = api.tunnels
    stack.up()
    assert list(api.tunnels) == [tunnel_id], "created resources are kept"
    hostname = f"chat-{stack.name}.example.com"
    assert [record["name"] for record in api.records.values()] == [hostname]
    assert edge.request(hostname, "/v1/models").status_code == 200
    stack.pulumi("preview", "--expect-no-changes")


def test_resources_deleted_by_hand_are_created_again(stack: ProdStack, api: CloudflareApi) -> None:
    api.records.clear()
    stack.pulumi("refresh", "--yes", "--skip-preview")
    stack.up()
    assert len(api.records) == 1


def test_an_invalid_tunnel_token_is_reported_with_the_connectors_message(
    stack: ProdStack, api: CloudflareApi
) -> None:
    """The token is valid base64, but its content is not valid."""
    original = api.tunnel_token
    api.tunnel_token = lambda tunnel_id: "bm90IGEgdG9rZW4="  # type: ignore[method-assign]
    failed = stack.up(check=False)
    api.tunnel_token = original  # type: ignore[method-assign]
    output = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "its program ended" in output
    assert "Provided Tunnel token is not valid." in output
    connectors = stack.connectors()
    assert {c.status for c in connectors.values()} == {"running"}, (
        "the connector that works keeps running"
    )
    stack.up()
    stack.pulumi("preview", "--expect-no-changes")


def test_a_tunnel_in_use_elsewhere_is_reported_and_destroyed_later(
    stack: ProdStack, api: CloudflareApi
) -> None:
    connected, api.is_connected = api.is_connected, lambda tunnel_id: True
    failed = stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
    output = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "1022" in output
    assert "active connections" in output
    api.is_connected = connected
    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert api.is_empty
