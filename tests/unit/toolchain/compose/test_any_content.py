"""Whatever a compose file holds, the import ends with entries or with problems that have places."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from toolchain.compose.catalogue_file import catalogue_text
from toolchain.compose.importing import import_project
from toolchain.compose.obstacles import KNOWN_KEYS
from toolchain.compose.problems import ComposeError
from toolchain.compose.project import load_project
from toolchain.compose.report import report

DATA = Path(__file__).resolve().parents[4] / "tests" / "data" / "compose"
VALUES = [
    "null", "true", "5", "-1", "1e999", ".nan", "''", "x", "'${A}'", "[]", "{}", "[null]", "[[1]]",
    "[{}]", "[{a: null}]", "{a: null}", "{a: [1]}", "{a: {b: c}}", "[5]", "['a=b']", "!reset null",
    "!override 5", "'a \"b'", "[sh, -c, '\"']", "['--token']", "[{target: [], source: {}}]",
    "[{type: bind, source: 5, target: /x, read_only: []}]", "[{target: 80, published: []}]",
    "{a: {condition: 5, aliases: 5}}", "{test: [[]]}", "{test: [CMD]}", "{context: [1]}",
    "[{type: tmpfs, target: /x, tmpfs: {size: []}}]", "{file: 5, service: 7}",
    "{resources: {limits: 5, reservations: {devices: [5, {device_ids: 5}]}}}",
]  # fmt: skip
SECTIONS = ["services", "volumes", "networks", "secrets", "configs", "include", "name", "x-a"]
CHARACTERS = [
    "",
    "\t",
    "{",
    "}",
    "[",
    "]",
    ":",
    "*a",
    "&a",
    '"',
    "'",
    "$",
    "${",
    "\n",
    "- ",
    "#",
    "~",
]


def ends_well(text: str, file: Path, checkout: Path) -> None:
    """Import a text, which raises nothing but a `ComposeError` of a file."""
    file.write_text(text, encoding="utf-8")
    try:
        done = import_project(load_project([file], environment={}), checkout)
    except ComposeError:
        return
    shown = catalogue_text(done.content(), [file])
    shown += report(done, "catalog/x.yaml", [file], None, "dev", copied=False)
    assert "\U0010e000" not in shown


@pytest.mark.parametrize("value", VALUES)
def test_any_value_of_any_key(value: str, folder: Path, checkout: Path) -> None:
    for key in sorted(KNOWN_KEYS):
        image = "" if key == "image" else "image: a:1, "
        text = f"services:\n  app: {{{image}{key}: {value}}}\n  web: {{image: b}}\n"
        ends_well(text, folder / "compose.yml", checkout)
    for section in SECTIONS:
        service = "app: {image: a, volumes: [a:/b], configs: [a], secrets: [a], networks: [a]}"
        rest = "" if section == "services" else f"services: {{{service}}}\n"
        ends_well(f"{section}: {value}\n{rest}", folder / "compose.yml", checkout)


def test_damaged_files(folder: Path, checkout: Path) -> None:
    chance = random.Random(13)
    texts = [path.read_text() for path in sorted(DATA.glob("*.yml"))]
    for _ in range(60):
        characters = list(chance.choice(texts))
        for _ in range(chance.randint(1, 6)):
            characters[chance.randrange(len(characters))] = chance.choice(CHARACTERS)
        ends_well("".join(characters), folder / "compose.yml", checkout)
