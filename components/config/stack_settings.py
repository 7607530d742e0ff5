"""A stack's settings: what `Pulumi.<stack>.yaml` has under `llm-stack:`, checked and typed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret
from pydantic import Discriminator, Field, Tag

from components.config.alerts import (
    HEARTBEAT_KEY,
    WEBHOOK_PREFIX,
    Webhook,
    alert_problems,
    make_webhooks,
)
from components.config.field_types import Duration, ModelName, Name, Port
from components.config.files import stack_source
from components.config.gateway import GatewaySettings
from components.config.monitor import MonitorSettings
from components.config.network import NetworkSettings
from components.config.network_access import CaFile, ModelHub, NetworkAccess, ProxySettings
from components.config.orchestrator import OrchestratorKind, Replicas, SwarmSettings
from components.config.problems import Problem, Source, choices
from components.config.registry import Digest, RegistrySettings
from components.config.schema import CamelModel, Reading, read
from components.config.tunnels import TunnelSettings, is_tunnel_token

PROJECT = "llm-stack"
SECRET_KEYS = ("hfToken", "ghModelsToken", "apiKeys", "registryPassword", HEARTBEAT_KEY)
# Key prefix for the token of an existing tunnel: `cloudflareTunnelToken-<service>`.
TUNNEL_TOKEN_PREFIX = "cloudflareTunnelToken-"
CLOUDFLARE_TOKEN = "cloudflare:apiToken"


class EngineSource(StrEnum):
    """Where the inference image takes llama-server from."""

    PUBLISHED = "published"
    """llama.cpp's own images, `baseImages.llama` and `baseImages.llamaCuda`."""
    COMPILED = "compiled"
    """Its source, which takes minutes; where the registry of those images is not reached."""


class BaseImages(CamelModel):
    """What the images are built on; a reference with a digest pins it."""

    python: str = "python:3.11-slim"
    ubuntu: str = "ubuntu:24.04"
    cloudflared: str = "cloudflare/cloudflared:2026.8.2"
    # Builds of the source in app/inference/build/llama-source.txt (llama.cpp b11312, 0c1e57098).
    llama: str = "ghcr.io/ggml-org/llama.cpp:server-b11312"
    llama_cuda: str = "ghcr.io/ggml-org/llama.cpp:server-cuda-b11312"
    # Its C library must not be newer than that of `python`, where what it compiles will run.
    cuda: str = "nvidia/cuda:12.8.1-devel-ubuntu22.04"


def _list_or_all(value: object) -> str:
    return "=all" if isinstance(value, str) else "=list"


EnabledServices = Annotated[
    Annotated[Literal["all"], Tag("=all")] | Annotated[tuple[Name, ...], Tag("=list")],
    Discriminator(_list_or_all),
]


class StackSettings(CamelModel):
    """Everything that is not secret."""

    renamed_keys: ClassVar[Mapping[str, tuple[str, str]]] = {
        "standInModel": (
            "placeholderModel",
            "pulumi config rm standInModel && pulumi config set placeholderModel smollm2-135m",
        )
    }
    services: EnabledServices = Field(description="names of services.yaml, or all of them")
    orchestrator: OrchestratorKind = OrchestratorKind.DOCKER
    replicas: dict[Name, Replicas] = Field(default_factory=dict)
    swarm: SwarmSettings | None = None
    network: NetworkSettings | None = None
    host_ports: dict[Name, Port] = Field(
        default_factory=dict, description="by service: a port on 127.0.0.1 that leads to it"
    )
    placeholder_model: ModelName | None = Field(
        default=None, description="answers in place of every model from a hub"
    )
    base_images: BaseImages = BaseImages()
    engine_source: EngineSource = Field(
        default=EngineSource.PUBLISHED,
        description="whether llama-server is taken from llama.cpp's own image or compiled",
    )
    operation_timeout: Duration = Field(
        default="24h",
        description="how long the creation, update or deletion of one resource may take",
    )
    gateway: GatewaySettings = GatewaySettings()
    monitor: MonitorSettings = MonitorSettings()
    tunnel: TunnelSettings = TunnelSettings()
    registry: RegistrySettings | None = None
    image_digests: dict[Name, Digest] = Field(
        default_factory=dict, description="images that are there already, and nothing builds"
    )
    keep_versions: int = Field(
        default=0, ge=0, le=50, description="earlier versions that stay on the engine"
    )
    updates: dict[Name, Literal["start-first", "recreate"]] = Field(
        default_factory=dict,
        description="whether the new container starts before or after the old one goes",
    )
    protect: bool | None = Field(
        default=None, description="whether tunnels and models refuse to be deleted"
    )
    model_hub: ModelHub | None = Field(
        default=None, description="where models are fetched; https://huggingface.co without it"
    )
    proxy: ProxySettings | None = None
    ca_file: CaFile | None = Field(
        default=None, description="PEM file with the authorities of a company's own certificates"
    )

    @property
    def network_access(self) -> NetworkAccess:
        """How builds and containers reach the internet."""
        return NetworkAccess(self.proxy, self.ca_file)


@dataclass(frozen=True)
class StackSecrets:
    """Values that Pulumi keeps encrypted; None where the stack has none."""

    hf_token: pulumi.Output[str] | None = None
    gh_models_token: pulumi.Output[str] | None = None
    api_keys: pulumi.Output[str] | None = None
    """Content of the gateway's api_keys.json."""
    registry_password: pulumi.Output[str] | None = None
    webhooks: Mapping[str, Webhook] = field(default_factory=dict)
    """By name: who gets an alert when a service fails."""
    heartbeat_url: pulumi.Output[str] | None = None
    """Requested every minute while the monitor works, for a service elsewhere that misses it."""
    tunnel_tokens: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    """By service: tokens of tunnels that were made elsewhere."""
    cloudflare_account: bool = False
    """Whether the Cloudflare provider has credentials."""


@dataclass(frozen=True)
class LoadedSettings:
    """The settings and secrets of a stack, as far as they are valid, and their problems."""

    source: Source
    settings: Reading[StackSettings]
    secrets: StackSecrets
    problems: tuple[Problem, ...]


def load_settings(stack: str) -> LoadedSettings:
    """Read the settings that Pulumi passed to this program."""
    source = stack_source(stack, PROJECT)
    everything = {**get_config_env(), **CONFIG.get()}
    values = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in everything.items()
        if key.startswith(f"{PROJECT}:")
    }
    secrets = {key: value for key, value in values.items() if _is_secret(key)}
    encrypted = {
        key for key in values.keys() - secrets.keys() if is_config_secret(f"{PROJECT}:{key}")
    }
    plain = {
        key: _decode(value)
        for key, value in values.items()
        if key not in secrets and key not in encrypted
    }
    # Without its services nothing of the rest could be checked.
    settings = read(StackSettings, plain, source, fallback={"services": "all"})
    assert settings.value is not None
    webhooks = {
        key.removeprefix(WEBHOOK_PREFIX): value
        for key, value in secrets.items()
        if key.startswith(WEBHOOK_PREFIX)
    }
    formats = settings.value.monitor.alerts.formats
    return LoadedSettings(
        source,
        settings,
        _stack_secrets(list(secrets), make_webhooks(webhooks, formats), everything),
        (
            *_plain_text_problems(secrets, everything, source),
            *_encryption_problems(encrypted, source),
            *_tunnel_token_problems(secrets, source),
            *settings.problems,
            *alert_problems(webhooks, secrets.get(HEARTBEAT_KEY), formats, source),
        ),
    )


def _is_secret(key: str) -> bool:
    return key in SECRET_KEYS or key.startswith((TUNNEL_TOKEN_PREFIX, WEBHOOK_PREFIX))


def _stack_secrets(
    keys: list[str], webhooks: Mapping[str, Webhook], everything: Mapping[str, str]
) -> StackSecrets:
    config = pulumi.Config(PROJECT)
    return StackSecrets(
        hf_token=config.get_secret("hfToken"),
        gh_models_token=config.get_secret("ghModelsToken"),
        api_keys=config.get_secret("apiKeys"),
        registry_password=config.get_secret("registryPassword"),
        webhooks=webhooks,
        heartbeat_url=config.get_secret(HEARTBEAT_KEY),
        tunnel_tokens={
            key.removeprefix(TUNNEL_TOKEN_PREFIX): config.require_secret(key)
            for key in keys
            if key.startswith(TUNNEL_TOKEN_PREFIX)
        },
        cloudflare_account=bool(
            {"cloudflare:apiToken", "cloudflare:apiKey"} & everything.keys()
            or {"CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY"} & os.environ.keys()
        ),
    )


def _plain_text_problems(
    secrets: Mapping[str, str], everything: Mapping[str, str], source: Source
) -> Iterator[Problem]:
    """Secrets that are not encrypted, and so have been where others can read them."""
    text = "is stored in plain text; revoke it at its issuer"
    for key in secrets:
        if not is_config_secret(f"{PROJECT}:{key}"):
            yield source.problem((key,), text, run=f"pulumi config set --secret {key}")
    if CLOUDFLARE_TOKEN in everything and not is_config_secret(CLOUDFLARE_TOKEN):
        cloudflare = Source(source.name, "", source.document, source.root)
        yield cloudflare.problem(
            (CLOUDFLARE_TOKEN,), text, run=f"pulumi config set --secret {CLOUDFLARE_TOKEN}"
        )


def _encryption_problems(keys: set[str], source: Source) -> Iterator[Problem]:
    known = [*SECRET_KEYS, f"{TUNNEL_TOKEN_PREFIX}<service>", f"{WEBHOOK_PREFIX}<name>"]
    for key in sorted(keys):
        yield source.problem(
            (key,),
            "is encrypted, but is not a secret of this project",
            allowed=choices(key, known),
            run=f"pulumi config rm {key}",
        )


def _tunnel_token_problems(secrets: Mapping[str, str], source: Source) -> Iterator[Problem]:
    """A whole command pasted in place of its token is a common slip; the value is not shown."""
    for key, value in secrets.items():
        if key.startswith(TUNNEL_TOKEN_PREFIX) and not is_tunnel_token(value):
            yield source.problem(
                (key,),
                "is not a valid tunnel token",
                allowed="allowed: the text that Cloudflare shows after `--token`, beginning with "
                "eyJ",
                run=f"pulumi config set --secret {key}",
            )


def _decode(value: str) -> Any:
    """Pulumi's engine passes lists and maps as JSON text, all else as plain text."""
    if value[:1] in {"[", "{"}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
