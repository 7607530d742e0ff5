"""The tunnels of a stack: settings under `llm-stack:tunnel`."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from components.config.compose.image_reference import ImageReference
from components.config.field_types import Name
from components.config.schema import CamelModel, refusal


class TunnelMode(StrEnum):
    """How a service is reached from the internet."""

    NAMED = "named"
    """By a fixed hostname, through a tunnel that stays."""
    QUICK = "quick"
    """By a random hostname, another at each start, without an account: for trials."""
    OFF = "off"


class Access(StrEnum):
    """Who may use a service that has a tunnel."""

    PUBLIC = "public"
    """Anyone with its hostname."""
    ACCESS = "access"
    """People whom Cloudflare Access lets in, and machines with the service's token."""
    KEY = "key"
    """Anyone with an API key of the gateway."""


def _domain(value: str) -> str:
    labels = value.split(".")
    if len(labels) < 2 or not all(
        0 < len(label) < 64 and label.replace("-", "").isalnum() and label.isascii()
        for label in labels
    ):
        raise refusal("is not a valid domain", allowed="a name such as example.com")
    return value.lower()


def _email(value: str) -> str:
    name, _, domain = value.partition("@")
    if not name or not domain:
        raise refusal("is not a valid e-mail address", allowed="such as jo@example.com")
    _domain(domain)
    return value


def _identifier(value: str) -> str:
    if len(value) != 32 or not set(value) <= set("0123456789abcdef"):
        raise refusal(
            "is not a valid Cloudflare ID",
            allowed="32 of 0-9 and a-f, as the zone's overview page shows them",
        )
    return value


Domain = Annotated[str, AfterValidator(_domain)]
Email = Annotated[str, AfterValidator(_email)]
CloudflareId = Annotated[str, AfterValidator(_identifier)]
Replicas = Annotated[int, Field(ge=1, le=25)]


class People(CamelModel):
    """Whom Cloudflare Access lets in: by address, or everybody of a mail domain."""

    emails: tuple[Email, ...] = ()
    domains: tuple[Domain, ...] = ()


class ServiceTunnelSettings(CamelModel):
    """Where one service differs from what holds for the stack."""

    mode: TunnelMode | None = None
    access: Access | None = None
    people: People | None = None
    subdomain: Name | None = None
    replicas: Replicas | None = None


class TunnelSettings(CamelModel):
    """The tunnels of a stack; a service of the catalogue marked `public` has one."""

    mode: TunnelMode = TunnelMode.OFF
    access: Access | None = None
    people: People = People()
    base_domain: Domain | None = None
    account_id: CloudflareId | None = None
    zone_id: CloudflareId | None = None
    replicas: Replicas = 1
    image: ImageReference | None = Field(
        default=None, description="runs instead of docker/cloudflared.Dockerfile's"
    )
    services: dict[Name, ServiceTunnelSettings] = Field(default_factory=dict)


def is_tunnel_token(value: str) -> bool:
    """Whether a text is a tunnel's token: base64 of JSON with account `a`, tunnel `t`, secret `s`.

    The form is that of `connection.TunnelToken` in cloudflared's source.
    """
    try:
        parts = json.loads(base64.b64decode(value.strip(), validate=True))
        uuid.UUID(parts["t"])
        return bool(parts["a"]) and bool(base64.b64decode(parts["s"], validate=True))
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        return False
