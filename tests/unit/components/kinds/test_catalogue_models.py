"""Models of services.yaml and catalog/models.yaml: complete, enough memory, documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from components.config.memory_estimate import model_memory
from components.config.model import Model
from components.kinds.catalogue import Catalogue, StackValues, load_catalogue
from components.kinds.inference import InferenceService
from tests.unit.components.conftest import PROJECT_ROOT

FILE = PROJECT_ROOT / "catalog/models.yaml"
PAGE = (PROJECT_ROOT / "docs/models.md").read_text()
NAMES = list(yaml.safe_load(FILE.read_text())["services"])


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(PROJECT_ROOT / "services.yaml", StackValues(enabled=tuple(NAMES)))


def test_the_entries_have_no_problems(catalogue: Catalogue) -> None:
    assert catalogue.problems == ()
    assert set(NAMES) <= set(catalogue.more_names)


def test_each_file_has_its_digest_its_size_and_a_commit(catalogue: Catalogue) -> None:
    for name, model in catalogue.models.items():
        if model.bundled:
            continue
        files = [*(model.files or [model]), *model.extra_files]
        assert all(file.sha256 and file.size for file in files), name
        if name in yaml.safe_load(FILE.read_text())["models"]:
            assert re.fullmatch(r"[0-9a-f]{40}", model.revision or ""), name


def test_the_memory_of_each_service_holds_its_model_and_the_prompt_cache(
    catalogue: Catalogue,
) -> None:
    services = {
        name: one for name, one in catalogue.services.items() if isinstance(one, InferenceService)
    }
    assert len(services) > len(NAMES)
    too_small = {
        name: (service.memory, needed)
        for name, service in services.items()
        for model in service.names
        if (needed := model_memory(catalogue.models[model]).with_prompt_cache) > service.memory
    }
    assert too_small == {}


def test_docs_list_each_service(catalogue: Catalogue) -> None:
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \|.* (\d+GiB) \|", PAGE, re.MULTILINE))
    written = yaml.safe_load(FILE.read_text())["services"]
    assert {name: rows.get(name) for name in NAMES} == {
        name: entry["memory"] for name, entry in written.items()
    }


@pytest.mark.parametrize(
    "example", re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)
def test_the_examples_of_the_page_have_no_problems(example: str, tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    file.write_text(example)
    catalogue = load_catalogue(file)
    assert catalogue.problems == ()
    assert catalogue.models


def test_the_page_has_every_key_of_a_model() -> None:
    rows = re.findall(r"^\| (`[a-z0-9_`, ]+`) \|", PAGE, re.MULTILINE)
    documented = {key for row in rows for key in re.findall(r"[a-z0-9_]+", row)}
    assert set(Model.model_fields) <= documented
