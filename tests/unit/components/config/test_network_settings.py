"""The subnet of a stack: how its networks share it, and which subnets are refused."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.config.network import NetworkSettings
from tests.doubles.recording_engine import StackRunner

DEV: dict[str, Any] = {"services": ["chat-interface"], "monitor": {"socketGroup": 999}}
SWARM: dict[str, Any] = {**DEV, "orchestrator": "swarm", "swarm": {"singleNode": True}}
ALLOWED = "allowed: a private IPv4 subnet of /16 to /26, in 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, such as 10.213.0.0/24"


def subnets(run_program: StackRunner, config: dict[str, Any]) -> dict[str, Any]:
    networks = run_program(config).of("Network")
    return {name: network.inputs.get("ipamConfigs") for name, network in networks.items()}


def test_the_networks_of_one_engine_share_the_subnet(run_program: StackRunner) -> None:
    assert subnets(run_program, {**DEV, "network": {"subnet": "10.213.0.0/24"}}) == {
        "llm-network": [{"subnet": "10.213.0.0/25", "gateway": "10.213.0.1"}],
        "restarter-network": [{"subnet": "10.213.0.240/28", "gateway": "10.213.0.241"}],
    }


def test_the_network_of_a_swarm_has_the_whole_subnet(run_program: StackRunner) -> None:
    assert subnets(run_program, {**SWARM, "network": {"subnet": "10.213.0.0/24"}}) == {
        "llm-network": [{"subnet": "10.213.0.0/24", "gateway": "10.213.0.1"}],
    }


def test_without_the_setting_the_engine_chooses(run_program: StackRunner) -> None:
    assert subnets(run_program, DEV) == {"llm-network": None, "restarter-network": None}
    assert subnets(run_program, SWARM) == {"llm-network": None}


@pytest.mark.parametrize("prefix", range(16, 27))
def test_the_ranges_are_in_the_subnet_and_do_not_overlap(prefix: int) -> None:
    network = NetworkSettings.model_validate({"subnet": f"172.30.0.0/{prefix}"})
    for part in (network.services, network.restarter):
        assert part.subnet_of(network.subnet)
    assert not network.services.overlaps(network.restarter)
    assert network.services.num_addresses >= 32


@pytest.mark.parametrize(
    ("subnet", "problem", "allowed"),
    [
        ("10.213.0.0/33", "is not an IPv4 subnet", ALLOWED),
        ("fd00::/64", "is not an IPv4 subnet", ALLOWED),
        ("mine", "is not an IPv4 subnet", ALLOWED),
        (10, "is not an IPv4 subnet", ALLOWED),
        ("10.0.0.0/8", "has the size /8", ALLOWED),
        ("10.213.0.0/27", "has the size /27", ALLOWED),
        ("10.213.0.0", "has the size /32", ALLOWED),
        ("198.51.100.0/24", "is not private", ALLOWED),
        ("172.32.0.0/16", "is not private", ALLOWED),
        (
            "10.213.0.7/24",
            "is not the first address and the prefix length",
            "allowed: 10.213.0.0/24",
        ),
        (
            "10.213.0.0/255.255.255.0",
            "is not the first address and the prefix length",
            "allowed: 10.213.0.0/24",
        ),
    ],
)
def test_an_unsuitable_subnet_is_refused(
    run_program: StackRunner, subnet: object, problem: str, allowed: str
) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        run_program({**DEV, "network": {"subnet": subnet}}, stack="dev")
    assert str(refusal.value) == (
        f"Pulumi.dev.yaml: llm-stack:network.subnet: {problem}; found {subnet!r}; {allowed}; "
        "run: pulumi config set --path 'llm-stack:network.subnet' <value>"
    )


def test_the_subnet_is_required(run_program: StackRunner) -> None:
    with pytest.raises(pulumi.RunError, match=r"llm-stack:network.subnet: is missing"):
        run_program({**DEV, "network": {}})
