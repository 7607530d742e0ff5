"""Whatever a stack's settings hold, the program refuses them with text, never with a traceback."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pulumi

from components.config.loading import load_settings
from components.config.problems import SettingsError
from components.kinds.catalogue import load_catalogue
from components.plan.validation import make_plan
from tests.unit.components.conftest import PROJECT_ROOT

GOOD: dict[str, Any] = {
    "services": ["chat-interface", "phi-inference"],
    "hostPorts": {"chat-interface": 8080},
    "gateway": {"limits": {"queue": 3}, "health": {"keepModels": 60}},
    "monitor": {"interval": 20, "thresholds": {"failAfter": 2}, "alerts": {"groupWait": 1}},
    "tunnel": {"mode": "quick", "services": {"chat-interface": {"access": "public"}}},
    "registry": {"server": "ghcr.io", "repository": "a/b", "platforms": ["linux/amd64"]},
    "network": {"subnet": "10.0.0.0/24"},
    "updates": {"phi-inference": "recreate"},
    "imageDigests": {"chat": f"sha256:{64 * 'a'}"},
    "proxy": {"http": "http://proxy:3128", "noProxy": ["example.com"]},
    "keepVersions": 2,
    "operationTimeout": "3h",
    "protect": True,
}
NASTY: list[Any] = [
    *(None, True, 0, -1, 1.5, 10**30, "", "x", "all", "[", "{", "\u2028"),
    *([], {}, [1], {"a": 1}, [[]], {"": ""}, {"chat": {"chat": {}}}, ["chat-interface", {}]),
]
# Keys that pydantic's own locations use too.
KEYS = ("chat", "inference", "=all", "[key]", "services")


def paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from paths(value, (*path, key))


def damage(settings: dict[str, Any], chance: random.Random) -> None:
    *way, key = chance.choice([*paths(settings)])
    node: Any = settings
    for part in way:
        node = node[part]
    nasty = copy.deepcopy(chance.choice(NASTY))
    if not isinstance(node, dict):
        node[key] = nasty
        return
    match chance.randrange(4):
        case 0:
            node[key] = nasty
        case 1:
            del node[key]
        case 2:
            node[f"{key}{chance.choice('xé ')}"] = node.pop(key)
        case _:
            node[chance.choice(KEYS)] = nasty


def test_no_damage_to_the_settings_ends_in_a_traceback() -> None:
    catalogue = load_catalogue(PROJECT_ROOT / "services.yaml")
    chance = random.Random(12)
    refused = 0
    for _ in range(400):
        settings = copy.deepcopy(GOOD)
        for _ in range(chance.randint(1, 4)):
            damage(settings, chance)
        encoded = {
            f"llm-stack:{key}": value if isinstance(value, str) else json.dumps(value)
            for key, value in settings.items()
        }
        pulumi.runtime.set_all_config(encoded, [])
        try:
            make_plan("dev", load_settings("dev"), catalogue)
        except SettingsError as error:
            refused += bool(str(error).encode())
    assert 200 < refused < 400, "most are refused, some damage does not matter"
