"""A secret that the stack makes for itself once, and keeps encrypted in its state."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass

import pulumi

TOKEN_BYTES = 32
HEX = "0123456789abcdef"
LETTERS_DIGITS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class GeneratedSecretArgs:
    """How the secret looks."""

    length: int = 2 * TOKEN_BYTES
    """Characters."""
    alphabet: str = HEX
    remembered: pulumi.Output[str | None] | None = None
    """One that was made before, and is to be taken again."""


class GeneratedSecret(pulumi.ComponentResource):
    """A random text, the same in every update until the resource is replaced."""

    value: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: GeneratedSecretArgs = GeneratedSecretArgs(),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("llm-stack:index:GeneratedSecret", name, None, opts)
        made = "".join(secrets.choice(args.alphabet) for _ in range(args.length))
        text = args.remembered.apply(lambda one: one or made) if args.remembered else made
        kept = pulumi.Stash(
            f"{name}-value",
            input=pulumi.Output.secret(text),
            # Each run of the program draws another one; the one in the state stays.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["input"]),
        )
        self.value = pulumi.Output.secret(kept.output)
        self.register_outputs({})
