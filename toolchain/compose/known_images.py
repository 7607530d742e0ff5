"""Facts about published images: their entrypoint and the port that they listen on."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownImage:
    """What the image's own configuration has, as its publisher documents it."""

    entrypoint: tuple[str, ...] | None = None
    """Empty for none; None where it is not known here."""
    port: int | None = None


_ENTRYPOINT = ("docker-entrypoint.sh",)
_KNOWN: dict[str, KnownImage] = {
    "redis": KnownImage(_ENTRYPOINT, 6379),
    "redis/redis-stack-server": KnownImage(None, 6379),
    "valkey/valkey": KnownImage(_ENTRYPOINT, 6379),
    "postgres": KnownImage(_ENTRYPOINT, 5432),
    "pgvector/pgvector": KnownImage(_ENTRYPOINT, 5432),
    "mongo": KnownImage(_ENTRYPOINT, 27017),
    "mysql": KnownImage(_ENTRYPOINT, 3306),
    "mariadb": KnownImage(_ENTRYPOINT, 3306),
    "minio/minio": KnownImage(("/usr/bin/docker-entrypoint.sh",), 9000),
    "clickhouse/clickhouse-server": KnownImage(("/entrypoint.sh",), 8123),
    "getmeili/meilisearch": KnownImage(("tini", "--"), 7700),
    "qdrant/qdrant": KnownImage((), 6333),
    "chromadb/chroma": KnownImage(None, 8000),
    "nginx": KnownImage(("/docker-entrypoint.sh",), 80),
    "caddy": KnownImage((), 80),
    "traefik": KnownImage(("/entrypoint.sh",), 80),
    "searxng/searxng": KnownImage(None, 8080),
    "prom/prometheus": KnownImage(("/bin/prometheus",), 9090),
    "grafana/grafana": KnownImage(("/run.sh",), 3000),
    "n8nio/n8n": KnownImage(("tini", "--", "/docker-entrypoint.sh"), 5678),
    "ghcr.io/berriai/litellm": KnownImage(("docker/prod_entrypoint.sh",), 4000),
    "ghcr.io/open-webui/open-webui": KnownImage((), 8080),
    "langfuse/langfuse": KnownImage(None, 3000),
    "langfuse/langfuse-worker": KnownImage(None, 3030),
    "python": KnownImage(()),
    "alpine": KnownImage(()),
    "debian": KnownImage(()),
    "ubuntu": KnownImage(()),
    "busybox": KnownImage(()),
    "node": KnownImage(_ENTRYPOINT),
    "ollama/ollama": KnownImage(("/bin/ollama",), 11434),
    "vllm/vllm-openai": KnownImage(("vllm", "serve"), 8000),
    "lmsysorg/sglang": KnownImage(None, 30000),
    "ghcr.io/ggml-org/llama.cpp": KnownImage(("/app/llama-server",), 8080),
    "ghcr.io/huggingface/text-embeddings-inference": KnownImage(("text-embeddings-router",), 80),
    "ghcr.io/mostlygeek/llama-swap": KnownImage(("/app/llama-swap",), 8080),
    "localai/localai": KnownImage(None, 8080),
    "quay.io/go-skynet/local-ai": KnownImage(None, 8080),
    "ghcr.io/speaches-ai/speaches": KnownImage(None, 8000),
    "fedirz/faster-whisper-server": KnownImage(None, 8000),
}


def repository(image: str) -> str:
    """The name of an image without Docker Hub's own names, tag and digest."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    name = f"{head}{slash}{tail.partition(':')[0]}"
    name = re.sub(r"^(?:docker\.io|index\.docker\.io|registry-1\.docker\.io)/", "", name)
    name = re.sub(r"^docker\.n8n\.io/", "", name)
    return name.removeprefix("library/")


def known_image(image: str | None) -> KnownImage:
    """What is known of an image."""
    return _KNOWN.get(repository(image), KnownImage()) if image else KnownImage()


def is_alpine(image: str) -> bool:
    """Whether a tag names Alpine Linux, whose users have other ids than Debian's."""
    return "alpine" in image.partition("@")[0].rpartition(":")[2]
