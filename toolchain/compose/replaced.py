"""Services that the stack itself takes the place of: tunnels, and what watches containers."""

from __future__ import annotations

import re
from collections.abc import Collection

from toolchain.compose.known_images import repository
from toolchain.compose.outcome import Loss
from toolchain.compose.yaml_file import Section

_WATCHERS = re.compile(r"(^|/)(watchtower|docker-autoheal|autoheal|ouroboros|diun)$")


def replacement(
    service: Section, command: str, services: Collection[str], names: dict[str, str]
) -> Loss | None:
    """What the stack has in place of a service; None for one that it runs.

    :param names: the catalogue's name of each service of the file.
    """
    image = repository(str(service.get("image") or ""))
    cloudflared = image.endswith("cloudflared") or "cloudflared" in str(service.get("build") or "")
    if cloudflared or re.search(r"\btunnel\b.*\b(run|--url)\b", command):
        return _tunnel(service, command, services, names)
    if _WATCHERS.search(image):
        return Loss(
            "image",
            "the stack's own monitor restarts unhealthy services; images change by pulumi up only",
            "see docs/monitoring",
        )
    return None


def _tunnel(
    service: Section, command: str, services: Collection[str], names: dict[str, str]
) -> Loss:
    environment = service.get("environment") or {}
    texts = f"{command} {environment.get('TUNNEL_URL') or ''}"
    target = next((name for name in services if re.search(rf"//{re.escape(name)}\b", texts)), None)
    if target is None:
        target = next((name for name in service.get("depends_on") or {} if name in services), None)
    name = names.get(target, target) if target else "SERVICE"
    commands = [
        f"pulumi config set --path llm-stack:tunnel.services.{name}.mode named",
        f"pulumi config set --path llm-stack:tunnel.services.{name}.access access",
    ]
    place = "see docs/production.md"
    if "--token" in command or "TUNNEL_TOKEN" in environment:
        commands.append(f"pulumi config set --secret cloudflareTunnelToken-{name}")
    else:
        place += " for the account and zone at Cloudflare: a quick tunnel leads to the gateway only"
    return Loss(
        "image",
        "the stack's own tunnels run cloudflared",
        "\n".join([f"public: true in the entry of {name}; {place}; and", *commands]),
    )
