"""Cloudflare's resources that a stack declares, without the import of the SDK.

The SDK defines thousands of classes when it is imported, which takes a second of each `pulumi
preview`, and four without bytecode. Types are checked with the SDK, and a unit test compares the
registrations with its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, ClassVar

import pulumi

# The version of the SDK: that of the plugin, and of the default provider.
SDK_VERSION = version("pulumi-cloudflare")


class _CloudflareResource(pulumi.CustomResource):
    """A resource with the names of the SDK: in Python snake case, in Pulumi camel case."""

    kind: ClassVar[str]
    renamed_from: ClassVar[str]
    """The type's name in states of older versions of the SDK."""
    outputs: ClassVar[tuple[str, ...]] = ()
    """Properties that only Cloudflare sets, and that the stack reads."""
    secret_outputs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        resource_name: str,
        opts: pulumi.ResourceOptions | None = None,
        **inputs: pulumi.Input[Any],
    ) -> None:
        of_sdk = pulumi.ResourceOptions(
            version=SDK_VERSION,
            aliases=[pulumi.Alias(type_=_token(self.renamed_from))],
            additional_secret_outputs=[*self.secret_outputs],
        )
        properties: Mapping[str, pulumi.Input[Any]] = {**dict.fromkeys(self.outputs), **inputs}
        merged = pulumi.ResourceOptions.merge(of_sdk, opts)
        super().__init__(_token(self.kind), resource_name, properties, merged)

    def translate_input_property(self, prop: str) -> str:
        return re.sub(r"_(.)", lambda match: match[1].upper(), prop)

    def translate_output_property(self, prop: str) -> str:
        return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", prop)


def _token(kind: str) -> str:
    """The type token of a resource, as `cloudflare:index/dnsRecord:DnsRecord`."""
    return f"cloudflare:index/{kind[0].lower()}{kind[1:]}:{kind}"


class ZeroTrustTunnelCloudflared(_CloudflareResource):
    kind, renamed_from = "ZeroTrustTunnelCloudflared", "Tunnel"
    secret_outputs = ("tunnel_secret",)


class ZeroTrustTunnelCloudflaredConfig(_CloudflareResource):
    kind, renamed_from = "ZeroTrustTunnelCloudflaredConfig", "TunnelConfig"


class DnsRecord(_CloudflareResource):
    kind, renamed_from = "DnsRecord", "Record"


class ZeroTrustAccessApplication(_CloudflareResource):
    kind, renamed_from = "ZeroTrustAccessApplication", "AccessApplication"
    aud: pulumi.Output[str]
    outputs = ("aud",)


class ZeroTrustAccessPolicy(_CloudflareResource):
    kind, renamed_from = "ZeroTrustAccessPolicy", "AccessPolicy"


class ZeroTrustAccessServiceToken(_CloudflareResource):
    kind, renamed_from = "ZeroTrustAccessServiceToken", "AccessServiceToken"
    client_id: pulumi.Output[str]
    client_secret: pulumi.Output[str]
    outputs = ("client_id", "client_secret")
    secret_outputs = ("client_secret",)
