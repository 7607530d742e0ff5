"""A stack's settings: what `Pulumi.<stack>.yaml` has under `llm-stack:`, checked and typed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from components.config.compose.words import scalar_text
from components.config.field_types import (
    GIBIBYTE,
    Cpus,
    Duration,
    Form,
    Memory,
    ModelName,
    Name,
    Port,
)
from components.config.gateway import GatewaySettings
from components.config.monitor import MonitorSettings
from components.config.network import NetworkSettings
from components.config.network_access import CaFile, ModelHub, NetworkAccess, ProxySettings
from components.config.orchestrator import OrchestratorKind, Replicas, SwarmSettings
from components.config.registry import Digest, RegistrySettings
from components.config.schema import CamelModel, refusal
from components.config.tunnels import TunnelSettings

PROJECT = "llm-stack"
# Secrets by the key of an earlier version: what each is now, and the commands that move it.
RENAMED_SECRETS = {
    "ghModelsToken": (
        "secrets.github-models, for the service github-models of catalog/github-models.yaml",
        "pulumi config get ghModelsToken | pulumi config set --secret --path "
        "llm-stack:secrets.github-models && pulumi config rm ghModelsToken",
    )
}


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


def _ensure_list_or_all(value: object) -> object:
    if isinstance(value, str) and value != "all":
        raise refusal(
            "is not a list",
            allowed="all, or a list of services",
            run=services_command(["chat-interface", "phi-inference"]),
        )
    return value


def _text(value: object) -> object:
    """Pulumi passes a number or a truth value as it is, where a list or a map holds it."""
    return scalar_text(value) if isinstance(value, int | float) else value


ValueName = Annotated[
    str,
    Form(
        r"[A-Za-z_][A-Za-z0-9_]{0,63}",
        "a valid name",
        "1 to 64 letters, digits and _, not beginning with a digit",
    ),
]
ValueText = Annotated[str, BeforeValidator(_text)]
EnabledServices = Annotated[
    Annotated[Literal["all"], Tag("=all")] | Annotated[tuple[Name, ...], Tag("=list")],
    Discriminator(_list_or_all),
    BeforeValidator(_ensure_list_or_all),
]


def services_command(names: Iterable[str]) -> str:
    """The command that sets the list of services; one for an element depends on what is there."""
    return f"pulumi config set {PROJECT}:services '{json.dumps(list(names))}'"


class Defaults(CamelModel):
    """Limits of the containers whose entry in the catalogue names none."""

    memory: Memory = GIBIBYTE
    cpus: Cpus = 1


class StackSettings(CamelModel):
    """Everything that is not secret."""

    renamed_keys: ClassVar[Mapping[str, tuple[str, str]]] = {
        "standInModel": (
            "placeholderModel",
            "pulumi config rm standInModel && pulumi config set placeholderModel smollm2-135m",
        ),
        **RENAMED_SECRETS,
    }
    services: EnabledServices = Field(description="names of services.yaml, or all of them")
    defaults: Defaults = Defaults()
    values: dict[ValueName, ValueText] = Field(
        default_factory=dict, description="values that replace ${config:NAME} in the catalogue"
    )
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
