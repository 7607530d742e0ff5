"""The attributes of Cloudflare's resource types, as terraform-provider-cloudflare 5.22.0 has them.

Names are Pulumi's. Only types and attributes that a stack or a person in the dashboard may set, or
that the API returns, are listed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Schema:
    """How each attribute of one resource type is configured, planned and read."""

    configured: frozenset[str]
    """Required or optional: the plan is the program's value, also where there is none."""
    either: frozenset[str] = frozenset()
    """Optional and computed: without a value from the program, the state's value is planned."""
    computed: frozenset[str] = frozenset()
    """Only the API sets these."""
    defaults: Json = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    """Computed once: an update plans the state's value instead of an unknown one."""
    unread: frozenset[str] = frozenset()
    """Copied from the state on read, so that changes of them are not detected."""
    elements: Json = field(default_factory=dict)
    """Attributes inside objects and lists of objects; others in an answer are dropped."""
    sets: frozenset[str] = frozenset()
    """Lists whose order has no meaning."""
    texts: frozenset[str] = frozenset()
    """JSON documents, which are texts in the state."""
    empty_is_absent: frozenset[str] = frozenset()
    """False, or an empty list, in an answer equals no value in the state."""
    true_is_absent: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        return self.configured | self.either | self.computed


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _fields(text: str) -> Json:
    return dict.fromkeys(text.split())


ORIGIN_REQUEST = _fields(
    "access caPool connectTimeout disableChunkedEncoding http2Origin httpHostHeader"
    " keepAliveConnections keepAliveTimeout matchSnItoHost noHappyEyeballs noTlsVerify"
    " originServerName proxyType tcpKeepAlive tlsTimeout"
)
TUNNEL = Schema(
    configured=_names("accountId name tunnelSecret"),
    either=_names("configSrc"),
    computed=_names(
        "accountTag connections connsActiveAt connsInactiveAt createdAt deletedAt metadata"
        " remoteConfig status tunType"
    ),
    defaults={"configSrc": "local"},
    texts=_names("metadata"),
    unread=_names("configSrc tunnelSecret"),
)
TUNNEL_CONFIG = Schema(
    configured=_names("accountId tunnelId"),
    either=_names("config source"),
    computed=_names("createdAt version"),
    elements={
        "config": {
            "ingresses": {**_fields("hostname path service"), "originRequest": ORIGIN_REQUEST},
            "originRequest": ORIGIN_REQUEST,
        }
    },
)
DNS_RECORD = Schema(
    configured=_names("zoneId name type ttl comment priority data privateRouting"),
    either=_names("content proxied settings tags"),
    computed=_names("commentModifiedOn createdOn meta modifiedOn proxiable tagsModifiedOn"),
    defaults={"proxied": False},
    texts=_names("meta"),
    elements={"settings": _fields("flattenCname ipv4Only ipv6Only")},
    sets=_names("tags"),
)
APPLICATION = Schema(
    configured=_names(
        "accountId zoneId allowAuthenticateViaWarp allowIframe allowedIdps autoRedirectToIdentity"
        " corsHeaders customDenyMessage customDenyUrl customNonIdentityDenyUrl customPages"
        " enableBindingCookie logoUrl mfaConfig optionsPreflightBypass pathCookieAttribute policies"
        " readServiceTokensFromHeader sameSiteCookieAttribute serviceAuth401Redirect"
        " skipInterstitial tags"
    ),
    either=_names(
        "appLauncherVisible destinations domain httpOnlyCookieAttribute name selfHostedDomains"
        " sessionDuration skipAppLauncherLoginPage type"
    ),
    computed=_names("aud"),
    kept=_names("aud name"),
    elements={
        "destinations": _fields(
            "cidr hostname l4Protocol mcpServerId portRange type uri vnetId"  # type is computed
        ),
        "policies": _fields(
            "connectionRules decision excludes id includes mfaConfig name precedence requires"
        ),
    },
    sets=_names("allowedIdps selfHostedDomains tags"),
    empty_is_absent=_names(
        "allowIframe allowedIdps autoRedirectToIdentity enableBindingCookie optionsPreflightBypass"
        " pathCookieAttribute policies serviceAuth401Redirect skipInterstitial tags"
    ),
    true_is_absent=_names("httpOnlyCookieAttribute"),
)
POLICY = Schema(
    configured=_names(
        "accountId name decision approvalGroups approvalRequired connectionRules excludes includes"
        " isolationRequired mfaConfig purposeJustificationPrompt purposeJustificationRequired"
        " requires"
    ),
    either=_names("sessionDuration"),
    computed=_names("appCount createdAt reusable updatedAt"),
    defaults={"sessionDuration": "24h"},
    sets=_names("approvalGroups excludes includes requires"),
    empty_is_absent=_names(
        "approvalGroups approvalRequired excludes includes isolationRequired"
        " purposeJustificationRequired requires"
    ),
)
SERVICE_TOKEN = Schema(
    configured=_names("accountId zoneId name previousClientSecretExpiresAt"),
    either=_names("clientSecretVersion duration"),
    computed=_names("clientId clientSecret expiresAt"),
    defaults={"clientSecretVersion": 1, "duration": "8760h"},
    kept=_names("clientId clientSecret"),
    unread=_names("clientSecret clientSecretVersion previousClientSecretExpiresAt"),
)
