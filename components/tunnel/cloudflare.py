"""A tunnel at Cloudflare: the tunnel, its ingress rules, its DNS record and Access policy."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

import pulumi
import pulumi_cloudflare as cloudflare

from components.plan.tunnels import NamedTunnel
from components.tunnel.access import ServiceAccess, ServiceAccessArgs


@dataclass(frozen=True)
class CloudflareTunnelArgs:
    """Which hostname leads to which URL on the stack's network."""

    label: str
    """What the account's dashboard shows: unlike any other stack's."""
    named: NamedTunnel
    origin: str
    protect: bool


class CloudflareTunnel(pulumi.ComponentResource):
    """A tunnel that Cloudflare configures, so that its connectors need nothing but its token.

    The Access policy and the ingress rules are created before the DNS record, so the hostname is
    never public without them. The policy is created at once, as the service may need its audience;
    the rest with `open`.
    """

    token: pulumi.Output[str]
    """Secret: what a connector signs in with."""
    machine_token: pulumi.Output[dict[str, str]] | None = None
    """Secret: what a machine sends to pass Cloudflare Access, where the hostname has a policy."""
    audience: pulumi.Output[str] | None = None
    """The AUD tag of its Access application."""

    def __init__(
        self, name: str, args: CloudflareTunnelArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:CloudflareTunnel", name, None, opts)
        self._name, self._args = name, args
        self._access: ServiceAccess | None = None
        named = args.named
        if named.people:
            self._access = ServiceAccess(
                f"{name}-access",
                ServiceAccessArgs(named.hostname, named.account_id, named.people, args.label),
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.machine_token = self._access.machine_token
            self.audience = self._access.audience

    def open(self, after: pulumi.Resource) -> None:
        """Create the tunnel and its hostname, once what it leads to is healthy."""
        name, args, named = self._name, self._args, self._args.named
        tunnel = cloudflare.ZeroTrustTunnelCloudflared(
            f"{name}-tunnel",
            account_id=named.account_id,
            name=args.label,
            config_src="cloudflare",
            # Cloudflare refuses a second tunnel of the same name while the first one is there.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=after, delete_before_replace=True, protect=args.protect
            ),
        )
        rules = cloudflare.ZeroTrustTunnelCloudflaredConfig(
            f"{name}-rules",
            account_id=named.account_id,
            tunnel_id=tunnel.id,
            config=ingress(named.hostname, args.origin),
            opts=pulumi.ResourceOptions(parent=self),
        )
        before: list[pulumi.Resource] = [rules]
        if self._access is not None:
            before.append(self._access)
        cloudflare.DnsRecord(
            f"{name}-name",
            zone_id=named.zone_id,
            name=named.hostname,
            type="CNAME",
            content=pulumi.Output.concat(tunnel.id, ".cfargotunnel.com"),
            proxied=True,
            ttl=1,
            comment=f"Tunnel {args.label}, managed by Pulumi",
            opts=pulumi.ResourceOptions(parent=self, depends_on=before, delete_before_replace=True),
        )
        self.token = pulumi.Output.secret(
            tunnel.id.apply(lambda tunnel_id: _token(args.label, named.account_id, tunnel_id))
        )
        self.register_outputs({"token": self.token, "machine_token": self.machine_token})


async def _token(label: str, account_id: str, tunnel_id: str) -> str:
    """Read a tunnel's token; raises `RunError`, also where another resource's failure ends that.

    Not by the SDK's own function: what that raises would end the program with a traceback.
    """
    try:
        answer: dict[str, str] = await pulumi.runtime.invoke_async(
            "cloudflare:index/getZeroTrustTunnelCloudflaredToken:getZeroTrustTunnelCloudflaredToken",
            {"accountId": account_id, "tunnelId": tunnel_id},
            # With the SDK's version, so that the same default provider is used.
            pulumi.InvokeOptions(version=version("pulumi-cloudflare")),
        )
    except Exception as error:
        message = f"{label}: the tunnel's token could not be read: {error}"
        raise pulumi.RunError(message) from None
    return answer["token"]


def ingress(hostname: str, origin: str) -> cloudflare.ZeroTrustTunnelCloudflaredConfigConfigArgs:
    """Cloudflare's rules: the name leads to the service, everything else nowhere.

    cloudflared flushes `text/event-stream` by itself. Set here are how soon a dead service is
    noticed, and connections for as many answers as run at the same time. Times are seconds.
    """
    rule = cloudflare.ZeroTrustTunnelCloudflaredConfigConfigIngressArgs
    return cloudflare.ZeroTrustTunnelCloudflaredConfigConfigArgs(
        ingresses=[
            rule(
                hostname=hostname,
                service=origin,
                origin_request=cloudflare.ZeroTrustTunnelCloudflaredConfigConfigIngressOriginRequestArgs(
                    connect_timeout=10,
                    tcp_keep_alive=30,
                    keep_alive_connections=256,
                    keep_alive_timeout=90,
                ),
            ),
            rule(service="http_status:404"),
        ]
    )
