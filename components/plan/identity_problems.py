"""What is missing for identities of Cloudflare Access as callers of the gateway."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components.config.gateway import AccessSettings
from components.config.problems import Problem, Source
from components.config.tunnels import Access
from components.plan.tunnels import TunnelWish


def identity_problems(
    access: AccessSettings | None, wishes: Sequence[TunnelWish], source: Source
) -> Iterator[Problem]:
    """An application that the stack makes is known; one that was made elsewhere is not."""
    elsewhere = [
        wish.service
        for wish in wishes
        if wish.checks_keys and not (wish.named and wish.access is Access.ACCESS)
    ]
    if access is None or not elsewhere:
        return
    for key, value, setting in (
        ("team", access.team, "gateway.access.team my-team"),
        ("audiences", access.audiences, "'gateway.access.audiences[0]' <AUD tag>"),
    ):
        if not value:
            yield source.problem(
                ("gateway", "access", key),
                f"is missing: the stack makes no Access application for {', '.join(elsewhere)}",
                run="pulumi config set --path " + setting.replace("gateway", "llm-stack:gateway"),
            )
