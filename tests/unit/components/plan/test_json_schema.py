"""The JSON schemas for editors: up to date, and referenced by the files they describe."""

from __future__ import annotations

import re

import pytest

from components.kinds.registry import kinds
from components.plan.json_schema import FOLDER, schemas, text_of
from tests.unit.components.conftest import PROJECT_ROOT


@pytest.mark.parametrize("name", schemas())
def test_the_file_is_generated_from_the_models(name: str) -> None:
    text = (PROJECT_ROOT / FOLDER / name).read_text(encoding="utf-8")
    assert text == text_of(schemas()[name]), "run: python -m components.plan.json_schema"


@pytest.mark.parametrize("file", ["services.yaml", "Pulumi.prod.yaml", "Pulumi.dev.yaml.example"])
def test_each_file_references_its_schema(file: str) -> None:
    first, _, _ = (PROJECT_ROOT / file).read_text(encoding="utf-8").partition("\n")
    match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert match is not None
    assert (PROJECT_ROOT / match[1]).is_file()


def test_every_kind_has_its_own_keys() -> None:
    services = schemas()["services.json"]["properties"]["services"]
    known = {
        entry["properties"]["kind"]["const"]: entry["properties"]
        for entry in services["additionalProperties"]["oneOf"]
    }
    assert known.keys() == kinds().keys()
    assert "gpus" in known["inference"]
    assert "gpus" not in known["chat"]


def test_a_secret_is_an_encrypted_value() -> None:
    config = schemas()["stack.json"]["properties"]["config"]
    assert config["properties"]["llm-stack:hfToken"]["required"] == ["secure"]
