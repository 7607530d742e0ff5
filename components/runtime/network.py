"""The network that joins the containers of one stack."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Literal

import pulumi
import pulumi_docker as docker

from components.runtime.labels import stack_label


@dataclass(frozen=True)
class StackNetworkArgs:
    """Which stack the network belongs to; an `internal` one leads nowhere outside."""

    stack: str
    internal: bool = False
    driver: Literal["bridge", "overlay"] = "bridge"
    """An overlay reaches over all nodes of a Swarm."""
    encrypted: bool = False
    """Of an overlay: what goes from node to node."""
    subnet: IPv4Network | None = None
    """None leaves the choice to the engine. Another one replaces the network, and with it each
    container on it; the engine refuses one that overlaps with a network that it has."""


class StackNetwork(pulumi.ComponentResource):
    """A network of the stack's own; containers find each other on it by service name."""

    network_name: pulumi.Output[str]
    """With a random suffix, so that a leftover of an interrupted update does not conflict."""
    reference: pulumi.Output[str]
    """By which containers join it: an overlay's id, else the name."""

    def __init__(
        self, name: str, args: StackNetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:StackNetwork", name, None, opts)
        network = docker.Network(
            name,
            driver=args.driver,
            internal=args.internal,
            options={"encrypted": "true"} if args.encrypted else None,
            ipam_configs=[_addresses(args.subnet)] if args.subnet else None,
            labels=[docker.NetworkLabelArgs(**stack_label(args.stack))],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.network_name = network.name
        self.reference = network.id if args.driver == "overlay" else network.name
        self.register_outputs({"network_name": self.network_name})


def _addresses(subnet: IPv4Network) -> docker.NetworkIpamConfigArgs:
    # The engine's own choice of gateway, given because some engines report it back: an input that
    # the provider reads and the program does not give would replace the network at every update.
    return docker.NetworkIpamConfigArgs(subnet=str(subnet), gateway=str(subnet[1]))
