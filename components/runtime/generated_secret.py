"""A secret that the stack makes for itself once, and keeps encrypted in its state."""

from __future__ import annotations

import secrets

import pulumi

TOKEN_BYTES = 32


class GeneratedSecret(pulumi.ComponentResource):
    """A random token, the same in every update until the resource is replaced."""

    value: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("llm-stack:index:GeneratedSecret", name, None, opts)
        kept = pulumi.Stash(
            f"{name}-value",
            input=pulumi.Output.secret(secrets.token_hex(TOKEN_BYTES)),
            # Each run of the program draws a new token; the one in the state stays.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["input"]),
        )
        self.value = pulumi.Output.secret(kept.output)
        self.register_outputs({})
