"""Stacks of every kind, and the names, parents and inputs by which their resources are compared."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

TOKEN = "0" * 40
TUNNEL = {
    "mode": "named",
    "baseDomain": "example.com",
    "accountId": "a" * 32,
    "zoneId": "b" * 32,
    "access": "access",
    "people": {"domains": ["example.com"]},
}


class Case(NamedTuple):
    """A stack's settings and secrets."""

    config: dict[str, Any]
    secrets: dict[str, str]


CASES = {
    "dev": Case(
        {
            "services": ["chat-interface", "phi-inference"],
            "hostPorts": {"chat-interface": 8080, "monitor": 8090},
            "placeholderModel": "smollm2-135m",
            "engineSource": "compiled",
            "monitor": {"socketGroup": 999},
        },
        {},
    ),
    "prod": Case(
        {
            "services": "all",
            "tunnel": TUNNEL,
            "keepVersions": 3,
            "monitor": {"socketGroup": 999, "alerts": {"remindEvery": 3600}},
        },
        {
            "cloudflare:apiToken": TOKEN,
            "hfToken": TOKEN,
            "alertWebhook-team": "https://hooks.example.com/team",
        },
    ),
    "swarm": Case(
        {
            "services": ["chat-interface", "phi-inference"],
            "orchestrator": "swarm",
            "replicas": {"chat-interface": 2},
            "registry": {"server": "localhost:5000", "repository": "stack", "username": "robot"},
        },
        {"registryPassword": TOKEN},
    ),
}

# Inputs that depend on the sources of an image.
BUILDS = "docker:index/remoteImage:RemoteImage"


def description(resources: list[Any]) -> dict[str, Any]:
    """The parent and inputs of each registration as JSON, by type and name.

    Without what follows an image's sources, and without random tokens.
    """
    known = {
        f"{one.type}::{one.name}": {
            "parent": one.parent,
            "inputs": sorted(one.inputs) if one.type == BUILDS else one.inputs,
        }
        for one in resources
    }
    text = json.dumps(known, default=str)
    text = re.sub(r":[0-9a-f]{12}\b", ":<tag>", text)
    # Mocks keep the root resource of the first program of a test run.
    text = re.sub(r"pulumi:Stack::[a-z-]+", "pulumi:Stack", text)
    described: dict[str, Any] = json.loads(re.sub(r"\b[0-9a-f]{64}\b", "<random>", text))
    return described
