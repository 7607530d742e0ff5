"""What a preview says about services, beside the changes that Pulumi itself lists."""

from __future__ import annotations

from collections.abc import Iterator

import pulumi

from components.config.field_types import MEBIBYTE
from components.plan.plan import Plan


def print_notices(plan: Plan) -> None:
    """Print each as a line of information."""
    for notice in notices(plan):
        pulumi.log.info(notice)


def notices(plan: Plan) -> Iterator[str]:
    """Limits that the catalogue leaves to the stack, and what it opens for a service."""
    defaults = plan.settings.defaults
    limits = {
        "memory": f"memory {defaults.memory // MEBIBYTE}MiB",
        "cpus": f"cpus {defaults.cpus:g}",
    }
    for name, service in plan.local_services.items():
        if chosen := [limits[limit] for limit in sorted(service.limits_from_stack)]:
            yield f"{name}: {', '.join(chosen)} from llm-stack:defaults"
        if opened := service.loosened:
            listed = "; ".join(f"{key}: {text}" for key, text in opened.items())
            yield f"{name}: less strict than the default: {listed}"
