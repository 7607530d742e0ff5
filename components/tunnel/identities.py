"""What the gateway receives of Cloudflare Access: whose signed identities are callers.

It does not import the Cloudflare SDK, which takes seconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import pulumi


@dataclass(frozen=True)
class GatewayAccess:
    """What the settings of the gateway have about Cloudflare Access.

    :param team: None for that of the account.
    :param audiences: of applications that were made elsewhere.
    """

    team: str | None
    audiences: Sequence[str] = ()

    def document(self, account_id: str, audience: pulumi.Output[str]) -> pulumi.Output[str]:
        """The content of access.json, once the application with this audience exists."""

        async def content(made: str) -> str:
            team = self.team or await _team_of(account_id)
            audiences = [*dict.fromkeys((made, *self.audiences))]
            return json.dumps({"team": team, "audiences": audiences}, indent=2)

        return audience.apply(content)


async def _team_of(account_id: str) -> str:
    """The name of an account's team; raises `RunError`.

    Not by the SDK's own function: what that raises would end the program with a traceback.
    """
    try:
        found: dict[str, str] = await pulumi.runtime.invoke_async(
            "cloudflare:index/getZeroTrustOrganization:getZeroTrustOrganization",
            {"accountId": account_id},
            # With the SDK's version, so that the same default provider is used.
            pulumi.InvokeOptions(version=version("pulumi-cloudflare")),
        )
    except Exception as error:
        raise pulumi.RunError(
            f"llm-stack:gateway.access.team: the account's team could not be read: {error}; "
            "run: pulumi config set --path llm-stack:gateway.access.team <team>"
        ) from None
    return found["authDomain"].removesuffix(".cloudflareaccess.com")
