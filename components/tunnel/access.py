"""Cloudflare Access for a public hostname: a policy for people, a service token for machines."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_cloudflare as cloudflare

from components.config.tunnels import People

SESSION = "24h"
# A year, the longest without a reminder; `clientSecretVersion` renews it sooner.
MACHINE_TOKEN_LIFE = "8760h"


@dataclass(frozen=True)
class ServiceAccessArgs:
    """The hostname, the account, and whom the policy lets in."""

    hostname: str
    account_id: str
    people: People
    label: str
    """Begins every name that the account's dashboard shows."""


class ServiceAccess(pulumi.ComponentResource):
    """An Access application in front of one name, with a rule for people and one for machines.

    A machine sends `CF-Access-Client-Id` and `CF-Access-Client-Secret` with each request.
    """

    machine_token: pulumi.Output[dict[str, str]]
    """Secret: `clientId` and `clientSecret`."""
    audience: pulumi.Output[str]
    """The AUD tag of the application, in each identity that Access signs for it."""

    def __init__(
        self, name: str, args: ServiceAccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:ServiceAccess", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        token = cloudflare.ZeroTrustAccessServiceToken(
            f"{name}-machine-token",
            account_id=args.account_id,
            name=f"{args.label} machines",
            duration=MACHINE_TOKEN_LIFE,
            opts=child,
        )
        people = cloudflare.ZeroTrustAccessPolicy(
            f"{name}-people",
            account_id=args.account_id,
            name=f"{args.label} people",
            decision="allow",
            includes=_rules(args.people),
            session_duration=SESSION,
            opts=child,
        )
        machines = cloudflare.ZeroTrustAccessPolicy(
            f"{name}-machines",
            account_id=args.account_id,
            name=f"{args.label} machines",
            decision="non_identity",
            includes=[{"service_token": {"token_id": token.id}}],
            session_duration=SESSION,
            opts=child,
        )
        application = cloudflare.ZeroTrustAccessApplication(
            f"{name}-application",
            account_id=args.account_id,
            name=args.label,
            type="self_hosted",
            domain=args.hostname,
            # What the API derives from the domain. Where only the state has destinations, the
            # provider plans to remove them and to compute other attributes again, so that each
            # preview after a refresh has a change.
            destinations=[{"type": "public", "uri": args.hostname}],
            # The defaults: a change of them in the dashboard is undone.
            app_launcher_visible=True,
            http_only_cookie_attribute=True,
            session_duration=SESSION,
            # A machine with a wrong token reads 401 instead of a page to sign in on.
            service_auth401_redirect=True,
            policies=[
                {"id": people.id, "precedence": 1},
                {"id": machines.id, "precedence": 2},
            ],
            opts=child,
        )
        self.machine_token = pulumi.Output.secret(
            pulumi.Output.all(clientId=token.client_id, clientSecret=token.client_secret)
        )
        self.audience = application.aud
        self.register_outputs({"machine_token": self.machine_token})


def _rules(people: People) -> list[cloudflare.ZeroTrustAccessPolicyIncludeArgs]:
    """One selector in each, as the provider demands."""
    return [
        *(
            cloudflare.ZeroTrustAccessPolicyIncludeArgs(
                email=cloudflare.ZeroTrustAccessPolicyIncludeEmailArgs(email=address)
            )
            for address in people.emails
        ),
        *(
            cloudflare.ZeroTrustAccessPolicyIncludeArgs(
                email_domain=cloudflare.ZeroTrustAccessPolicyIncludeEmailDomainArgs(domain=domain)
            )
            for domain in people.domains
        ),
    ]
