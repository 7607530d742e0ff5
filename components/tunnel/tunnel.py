"""The tunnel of one service: its configuration at Cloudflare, and its connectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_docker as docker

from components.config.field_types import MEBIBYTE
from components.config.named_secrets import SECRETS_DIRECTORY
from components.plan.tunnels import GivenTunnel, NamedTunnel, QuickTunnel, TunnelPlan
from components.runtime.container import Files, HardenedContainerArgs
from components.runtime.container_options import ContainerOptions, HealthCheck
from components.runtime.orchestrator import FilesArgs, Orchestrator

if TYPE_CHECKING:
    from components.tunnel.cloudflare import CloudflareTunnel

METRICS_PORT = 20241
TOKEN_FILE = "tunnel_token"
# The user of Cloudflare's own image, and of docker/cloudflared.Dockerfile.
USER = "65532:65532"
# Seconds that a stopping connector lets the requests in flight go on (cloudflared allows 180 at
# most), and seconds after that until Docker kills it.
DRAIN = 60
KILL_AFTER_DRAIN = 15
START_TIMEOUT = 120
# cloudflared reads a flag only before the verb it belongs to: with one after it, it prints the help
# and ends with exit code 0, which a health check would count as healthy.
METRICS_FLAGS = (
    "tunnel",
    "--no-autoupdate",
    "--metrics",
    f"0.0.0.0:{METRICS_PORT}",
    "--grace-period",
    f"{DRAIN}s",
)
CONNECTED = HealthCheck(
    ["CMD", "cloudflared", "tunnel", "--metrics", f"127.0.0.1:{METRICS_PORT}", "ready"],
    interval=30,
    timeout=5,
    retries=3,
    start_period=30,
)


@dataclass(frozen=True)
class TunnelArgs:
    """Which service is opened, how, and where its connectors run."""

    stack: str
    plan: TunnelPlan
    origin: str
    """Address of the service on the stack's network."""
    image: pulumi.Input[str]
    network: pulumi.Input[str]
    protect: bool
    orchestrator: Orchestrator


class Tunnel(pulumi.ComponentResource):
    """Opens one service to the internet.

    Its connectors are separate containers: one that exits interrupts the requests that it carried,
    and the others go on. Only the Access policy exists before `open`.
    """

    url: pulumi.Output[str] | None
    """Public address; None where it was decided elsewhere, together with the token."""
    machine_token: pulumi.Output[dict[str, str]] | None = None
    """Secret: what a machine sends to pass Cloudflare Access, where the service has a policy."""
    audience: pulumi.Output[str] | None = None
    """The AUD tag of its Access application, for `llm-stack:gateway.access`."""

    def __init__(
        self, name: str, args: TunnelArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:Tunnel", name, None, opts)
        self._name, self._args = name, args
        self._made: CloudflareTunnel | None = None
        if isinstance(args.plan.kind, NamedTunnel):
            self._made = self._make(args.plan.kind)
            self.machine_token = self._made.machine_token
            self.audience = self._made.audience

    def open(self, service: pulumi.Resource) -> None:
        """Connect the service to the internet, once it is healthy."""
        match self._args.plan.kind:
            case NamedTunnel() as named:
                self.url = pulumi.Output.from_input(f"https://{named.hostname}")
                assert self._made is not None
                self._made.open(service)
                self._connect(self._made.token, [self._made])
            case GivenTunnel(token):
                self.url = None
                self._connect(token, [service])
            case QuickTunnel():
                self.url = self._open_quick(service)
        self.register_outputs({"url": self.url})

    def _make(self, named: NamedTunnel) -> CloudflareTunnel:
        # The Cloudflare SDK takes seconds to import; a stack without such tunnels need not wait.
        from components.tunnel.cloudflare import CloudflareTunnel, CloudflareTunnelArgs

        return CloudflareTunnel(
            f"{self._name}-cloudflare",
            CloudflareTunnelArgs(
                label=f"llm-stack-{self._args.stack}-{self._args.plan.service}",
                named=named,
                origin=self._args.origin,
                protect=self._args.protect,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _connect(self, token: pulumi.Input[str], before: list[pulumi.Resource]) -> None:
        """Start the connectors of a tunnel that has a token."""
        files = self._args.orchestrator.files(
            f"{self._name}-secrets",
            FilesArgs(self._args.stack, self._name, SECRETS_DIRECTORY, {TOKEN_FILE: token}),
            pulumi.ResourceOptions(parent=self),
        )
        self._run_connectors(
            command=[*METRICS_FLAGS, "run"],
            environment={"TUNNEL_TOKEN_FILE": f"{SECRETS_DIRECTORY}/{TOKEN_FILE}"},
            files=files,
            before=before,
        )

    def _open_quick(self, service: pulumi.Resource) -> pulumi.Output[str]:
        """The URL, which is in the connector's log: Cloudflare chooses another at each start.

        A terminal keeps Docker's frame headers out of the log, which the provider would otherwise
        have to guess away line by line.
        """
        container_id = self._run_connectors(
            command=[*METRICS_FLAGS, "--url", self._args.origin], terminal=True, before=[service]
        )
        log = docker.get_logs_output(
            name=container_id, show_stdout=True, show_stderr=True, discard_headers=False
        )
        return log.logs_list_strings.apply(quick_url)

    def _run_connectors(
        self,
        *,
        command: list[str],
        environment: Mapping[str, str] | None = None,
        files: Files | None = None,
        terminal: bool = False,
        before: list[pulumi.Resource] | None = None,
    ) -> pulumi.Output[str]:
        """Returns the id of what runs, known once it is connected."""
        running = self._args.orchestrator.run(
            self._name,
            HardenedContainerArgs(
                stack=self._args.stack,
                service=self._name,
                replicas=self._args.plan.replicas,
                image=self._args.image,
                networks=[self._args.network],
                memory=256 * MEBIBYTE,
                cpus=1.0,
                stop_grace=DRAIN + KILL_AFTER_DRAIN,
                environment=environment or {},
                files=[files] if files else [],
                # A tunnel that is replaced can go only after its connectors. The engine finds them
                # by a plain value that comes from the tunnel; a label, one of a set, is overlooked.
                hostname=files.version.apply(lambda version: version[:12]) if files else None,
                options=ContainerOptions(
                    user=USER,
                    entrypoint=["cloudflared"],
                    command=command,
                    health_check=CONNECTED,
                ),
                terminal=terminal,
            ),
            START_TIMEOUT,
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )
        return running.id


def connector_url(connector: str) -> str:
    """The URL on the network where a connector has `/ready` and `/metrics`."""
    return f"http://{connector}:{METRICS_PORT}"


def quick_url(log: list[str]) -> str:
    """The URL in a quick tunnel's log: the last one, as each start has another.

    Raises `RunError` where the log has none.
    """
    # The framed line of `RunQuickTunnel` in cloudflared's quick_tunnel.go.
    found = re.findall(r"\|\s+(https://[^\s|]+)\s+\|", "\n".join(log))
    if not found:
        raise pulumi.RunError(
            "the quick tunnel's connector has not logged its URL; "
            "run: docker restart <its container>, then pulumi up"
        )
    return str(found[-1])
