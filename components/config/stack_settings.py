"""A stack's settings: what `Pulumi.<stack>.yaml` says under `llm-stack:`, checked and typed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from components.config.alerts import HEARTBEAT_KEY, WEBHOOK_PREFIX, AlertSettings, Webhook, is_web_address, make_webhooks, webhook_problems
from components.config.catalogue import ModelName, Name, Port
from components.config.network_access import CaFile, ModelHub, NetworkAccess, ProxySettings
from components.config.network import NetworkSettings
from components.config.orchestrator import OrchestratorKind, Replicas, SwarmSettings
from components.config.registry import Digest, RegistrySettings
from components.config.schema import CamelModel, SettingsError, choices, validate
from components.config.tunnels import TunnelSettings, is_tunnel_token

PROJECT = "llm-stack"
SECRET_KEYS = ("hfToken", "ghModelsToken", "apiKeys", "registryPassword", HEARTBEAT_KEY)
# A tunnel that was made elsewhere is given by its token, under this and the service's name.
TUNNEL_TOKEN_PREFIX = "cloudflareTunnelToken-"
CLOUDFLARE_TOKEN = "cloudflare:apiToken"


def _check_duration(value: str) -> str:
    """A time limit as Pulumi's option customTimeouts takes it."""
    if not re.fullmatch(r"[1-9][0-9]{0,3}[mh]", value):
        raise PydanticCustomError(
            "duration",
            "is not a time limit; allowed: a whole number with m or h, such as 90m or 24h",
        )
    return value


Duration = Annotated[str, AfterValidator(_check_duration)]


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
    # Builds of the source that app/inference/build/llama-source.txt pins (llama.cpp b11312, 0c1e57098).
    llama: str = "ghcr.io/ggml-org/llama.cpp:server-b11312"
    llama_cuda: str = "ghcr.io/ggml-org/llama.cpp:server-cuda-b11312"
    # Its C library must not be newer than that of `python`, where what it compiles will run.
    cuda: str = "nvidia/cuda:12.8.1-devel-ubuntu22.04"


class MonitorSettings(CamelModel):
    """How the monitor watches."""

    interval: int = Field(default=30, ge=1, le=3600, description="seconds between two checks")
    restarts: bool = Field(
        default=True,
        description="whether what stays unhealthy is restarted; a Swarm does so itself",
    )
    socket_group: int | None = Field(
        default=None, ge=0, description="id of the group of the engine's socket, if not seen here"
    )
    alerts: AlertSettings = AlertSettings()


class StackSettings(CamelModel):
    """Everything that is not secret."""

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "standInModel": "standInModel is now placeholderModel; run: pulumi config rm standInModel "
        "&& pulumi config set placeholderModel smollm2-135m"
    }
    services: tuple[Name, ...] | Literal["all"]
    orchestrator: OrchestratorKind = OrchestratorKind.DOCKER
    replicas: dict[Name, Replicas] = Field(default_factory=dict)
    swarm: SwarmSettings | None = None
    network: NetworkSettings | None = None
    host_ports: dict[Name, Port] = Field(default_factory=dict)
    placeholder_model: ModelName | None = None
    base_images: BaseImages = BaseImages()
    engine_source: EngineSource = Field(
        default=EngineSource.PUBLISHED,
        description="whether llama-server is taken from llama.cpp's own image or compiled",
    )
    operation_timeout: Duration = Field(
        default="24h",
        description="how long the creation, update or deletion of one resource may take",
    )
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
    """By name: who is told when a service fails."""
    heartbeat_url: pulumi.Output[str] | None = None
    """Asked every minute while the monitor works, for a service elsewhere that misses it."""
    tunnel_tokens: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    """By service: tokens of tunnels that were made elsewhere."""
    cloudflare_account: bool = False
    """Whether the Cloudflare provider is given what it signs in with."""


def load_settings(stack: str) -> tuple[StackSettings, StackSecrets]:
    """Read the settings that the engine handed to this program; raises `SettingsError`."""
    source = f"Pulumi.{stack}.yaml"
    everything = {**get_config_env(), **CONFIG.get()}
    values = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in everything.items()
        if key.startswith(f"{PROJECT}:")
    }
    secrets = {key: value for key, value in values.items() if _is_secret(key)}
    plain = {key: _decode(value) for key, value in values.items() if key not in secrets}
    _ensure_secrets_are_encrypted(
        [f"{PROJECT}:{key}" for key in secrets]
        + [key for key in (CLOUDFLARE_TOKEN,) if key in everything],
        source,
    )
    _ensure_nothing_else_is_encrypted(plain, source)
    _ensure_tunnel_tokens_are_tokens(secrets, source)
    settings = validate(StackSettings, plain, source, prefix=f"{PROJECT}:")
    addresses = {
        key.removeprefix(WEBHOOK_PREFIX): value
        for key, value in secrets.items()
        if key.startswith(WEBHOOK_PREFIX)
    }
    _ensure_alerts_can_be_sent(addresses, secrets.get(HEARTBEAT_KEY), settings, source)
    webhooks = make_webhooks(addresses, settings.monitor.alerts.formats)
    return settings, _stack_secrets(list(secrets), webhooks, everything)


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


def _ensure_secrets_are_encrypted(keys: Iterable[str], source: str) -> None:
    problems = [
        f"{source}: {key}: is stored in clear; take it back where it came from, "
        f"then run: pulumi config set --secret {key.removeprefix(f'{PROJECT}:')}"
        for key in keys
        if not is_config_secret(key)
    ]
    if problems:
        raise SettingsError(problems)


def _ensure_alerts_can_be_sent(
    addresses: Mapping[str, str], heartbeat: str | None, settings: StackSettings, source: str
) -> None:
    problems = webhook_problems(addresses, settings.monitor.alerts.formats)
    if heartbeat is not None and not is_web_address(heartbeat):
        problems.append(f"{HEARTBEAT_KEY}: is no address on the web; allowed: https://…")
    if problems:
        raise SettingsError(f"{source}: {PROJECT}:{problem}" for problem in problems)


def _ensure_nothing_else_is_encrypted(values: dict[str, Any], source: str) -> None:
    known = [*SECRET_KEYS, f"{TUNNEL_TOKEN_PREFIX}<service>", f"{WEBHOOK_PREFIX}<name>"]
    problems = [
        f"{source}: {PROJECT}:{key}: is encrypted, but no such secret is known; "
        f"{choices(key, known)}"
        for key in values
        if is_config_secret(f"{PROJECT}:{key}")
    ]
    if problems:
        raise SettingsError(problems)


def _ensure_tunnel_tokens_are_tokens(secrets: Mapping[str, str], source: str) -> None:
    """A whole command pasted in place of its token is a common slip; the value is not told."""
    problems = [
        f"{source}: {PROJECT}:{key}: is no tunnel token; allowed: the text that Cloudflare shows "
        f"after `--token`, beginning with eyJ"
        for key, value in secrets.items()
        if key.startswith(TUNNEL_TOKEN_PREFIX) and not is_tunnel_token(value)
    ]
    if problems:
        raise SettingsError(problems)


def _decode(value: str) -> object:
    """The engine hands lists and maps over as JSON text, all else as plain text."""
    if value[:1] in {"[", "{"}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
