"""How the gateway of a stack works: settings under `llm-stack:gateway`.

Defaults are those of app/chat/settings.py; only what a stack sets is written to gateway.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from components.config.field_types import Form, HostPattern
from components.config.schema import CamelModel

Origin = Annotated[
    str,
    Form(
        r"(\*|null|[a-z][a-z0-9+.-]*://(\*|(\*\.)?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])"
        r"(:(\*|\d{1,5}))?)",
        "a valid origin",
        "scheme://host or scheme://host:port, such as https://app.example.com or "
        "https://*.example.com; null; *",
    ),
]
ModelId = Annotated[
    str, Form(r"[A-Za-z0-9/@][A-Za-z0-9._:/@+-]{0,127}", "a valid model id", "such as phi-3-mini")
]
TeamName = Annotated[
    str,
    Form(
        r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
        "a valid team name",
        "the name before .cloudflareaccess.com",
    ),
]
Audience = Annotated[
    str,
    Form(r"[0-9a-f]{64}", "a valid AUD tag", "64 of 0-9 and a-f: the stack output accessAudiences"),
]
Seconds = Annotated[float, Field(gt=0)]


class UnknownFields(StrEnum):
    """What the gateway does with fields of a request that it does not know."""

    REFUSE = "refuse"
    PASS = "pass"


class Limits(CamelModel):
    """What one client, and all together, may use; each limit ends in an OpenAI error."""

    body_bytes: int = Field(default=8 * 2**20, ge=1024, description="of one request")
    body_values: int = Field(default=200_000, ge=100, description="JSON values in one request")
    body_seconds: Seconds = Field(default=30, description="for the client to send its request")
    head_bytes: int = Field(
        default=16 * 2**10, ge=4096, description="of the request line and the headers"
    )
    head_seconds: Seconds = Field(default=10, description="for the client to send its headers")
    connections: int = Field(default=2048, ge=1, description="connections of clients at once")
    open_requests: int = Field(default=1024, ge=1, description="API requests at once")
    all_bodies_bytes: int = Field(
        default=96 * 2**20, ge=1024, description="of all requests at once"
    )
    answer_bytes: int = Field(
        default=16 * 2**20, ge=1024, description="of one answer that is not streamed"
    )
    all_answers_bytes: int = Field(
        default=64 * 2**20, ge=1024, description="of all such answers at once"
    )
    queue: int = Field(default=64, ge=0, description="requests that may wait, for each model")
    queue_seconds: Seconds = Field(default=120, description="longest wait in a queue")
    connect_seconds: Seconds = Field(default=10, description="to connect to a model server")
    first_token_seconds: Seconds = Field(default=900, description="a long prompt on a slow CPU")
    load_seconds: Seconds = Field(
        default=600, description="more until the first token, if the model is loaded for it"
    )
    silence_seconds: Seconds = Field(default=120, description="between two pieces of an answer")
    client_seconds: Seconds = Field(
        default=30, description="for a client to read what was written, else it is dropped"
    )
    request_seconds: Seconds = Field(default=1800, description="a whole request, queue included")
    attempts: int = Field(default=3, ge=1, le=10, description="replicas tried before a token")


class KeepAlive(CamelModel):
    """How a waiting client sees that its request is alive; seconds."""

    first_comment: Seconds = Field(default=1, description="streams: headers and first comment")
    first_space: Seconds = Field(default=10, description="whole answers: headers, white space")
    interval: float = Field(default=15, gt=0, le=90, description="then at least this often")


class Breaker(CamelModel):
    """When a failing replica gets no more requests, and for how long."""

    failures: int = Field(default=3, ge=1, description="in a row")
    cool_down_seconds: Seconds = Field(default=10, description="doubles up to the longest")
    longest_cool_down_seconds: Seconds = 120


class HealthChecks(CamelModel):
    """How often the gateway checks the replicas; seconds."""

    interval: Seconds = 5
    interval_when_down: Seconds = 1
    timeout: Seconds = 3
    failures: int = Field(default=3, ge=1, description="in a row, until a replica counts as down")
    names_interval: Seconds = Field(default=1, description="between two DNS lookups of replicas")
    draining_interval: Seconds = Field(default=1, description="between two checks for a drain")
    keep_models: Seconds = Field(
        default=300, description="models that a server listed stay listed while it is down"
    )


class AccessSettings(CamelModel):
    """Identities of Cloudflare Access as callers, and the limits of each person."""

    models: tuple[ModelId, ...] | None = Field(default=None, description="left out: all models")
    rpm: int | None = Field(default=None, ge=1, description="requests per minute")
    concurrency: int | None = Field(default=None, ge=1, description="requests at once")
    tokens_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_day: int | None = Field(default=None, ge=1, description="from 0:00 UTC")
    priority: int = Field(
        default=1, ge=1, le=100, description="its share in relation to other callers"
    )
    team: TeamName | None = Field(
        default=None, description="<team>.cloudflareaccess.com; left out: that of the account"
    )
    audiences: tuple[Audience, ...] = Field(
        default=(), description="AUD tags of applications that were made elsewhere"
    )
    log_emails: bool = Field(default=False, description="otherwise the log has pseudonyms")


class GatewaySettings(CamelModel):
    """All that a stack can set of its gateway."""

    renamed_keys: ClassVar[Mapping[str, tuple[str, str]]] = {
        "githubModels": (
            "the service github-models of catalog/github-models.yaml, with url and models there",
            "pulumi config rm --path llm-stack:gateway.githubModels, and add github-models to "
            "llm-stack:services",
        )
    }
    limits: Limits = Limits()
    keep_alive: KeepAlive = KeepAlive()
    breaker: Breaker = Breaker()
    health: HealthChecks = HealthChecks()
    unknown_fields: UnknownFields = Field(
        default=UnknownFields.REFUSE, description="fields of requests that it does not know"
    )
    hosts: tuple[HostPattern, ...] = Field(
        default=(), description="host names of the gateway, such as that of a reverse proxy"
    )
    cors_origins: tuple[Origin, ...] = Field(
        default=(), description="sites whose pages may call the API"
    )

    access: AccessSettings | None = Field(
        default=None, description="identities of Cloudflare Access are callers"
    )

    def config(self) -> dict[str, Any]:
        """What was set, as gateway.json has it."""
        return self.model_dump(mode="json", exclude_unset=True)
