"""The ready entries of catalog/, and the page that lists them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.config.compose.volumes import NamedVolume
from components.config.field_types import MEBIBYTE
from components.kinds.catalogue import Catalogue, StackValues, load_catalogue
from components.kinds.container import ContainerService
from components.kinds.external import ExternalService

PROJECT = Path(__file__).parents[4]
FOLDER = PROJECT / "catalog"
# models.yaml has many entries: test_catalogue_models.py.
FILES = {path.stem: path for path in FOLDER.glob("*.yaml") if path.stem != "models"}
PAGE = (PROJECT / "docs" / "catalog.md").read_text(encoding="utf-8")
# Where text is given as code: the name, and what the page says about its entry.
ROWS = {
    row[0].strip("`"): row
    for line in PAGE.splitlines()
    if line.startswith("| `")
    for row in [[cell.strip() for cell in line.strip("|").split("|")]]
}
UNITS = {"GiB": 1024, "MiB": 1}


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    monkeypatch.chdir(PROJECT)
    return load_catalogue(Path("services.yaml"), StackValues(enabled=tuple(FILES)))


def container(catalogue: Catalogue, name: str) -> ContainerService:
    service = catalogue.services[name]
    assert isinstance(service, ContainerService)
    return service


def entries(*, external: bool) -> list[str]:
    return sorted(
        name for name, path in FILES.items() if ("kind: external" in path.read_text()) is external
    )


def test_every_entry_is_valid(catalogue: Catalogue) -> None:
    assert catalogue.problems == ()
    assert {*FILES} <= {*catalogue.services}


def test_the_page_lists_every_entry() -> None:
    assert ROWS.keys() == FILES.keys()


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_begins_with_its_schema_and_how_to_enable_it(name: str) -> None:
    schema, *comment = FILES[name].read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    assert schema == "# yaml-language-server: $schema=../docs/schema/services.json"
    assert f"# Enable: add {name} to llm-stack:services in Pulumi.<stack>.yaml" in comment


@pytest.mark.parametrize("name", entries(external=False))
def test_an_image_has_a_version(catalogue: Catalogue, name: str) -> None:
    image = container(catalogue, name).image
    assert image is not None
    assert re.search(r":[\w.-]*\d", image.rpartition("/")[2]), image
    assert image.removeprefix("docker.io/library/").removeprefix("docker.io/") in ROWS[name][2]


@pytest.mark.parametrize("name", entries(external=False))
def test_the_page_states_port_memory_and_user(catalogue: Catalogue, name: str) -> None:
    service = container(catalogue, name)
    _, _, _, port, volumes, _, memory, user, _ = ROWS[name]
    assert port == str(service.port)
    number, unit = memory[:-3], memory[-3:]
    assert int(number) * UNITS[unit] * MEBIBYTE == service.memory
    assert (user == service.user) or (user, service.user) == ("root, of the image", "image")
    assert set(re.findall(r"`([^`]+)`", volumes)) == {
        volume.name for volume in service.volumes if isinstance(volume, NamedVolume)
    }


@pytest.mark.parametrize("name", entries(external=False))
def test_the_page_states_the_secrets(catalogue: Catalogue, name: str) -> None:
    service = container(catalogue, name)
    in_environment = " ".join(service.secret_environment.values())
    named = {*service.secrets, *re.findall(r"\$\{([^}]+)\}", in_environment)}
    assert set(re.findall(r"`([^`]+)`", ROWS[name][5])) == named
    for secret in named:
        stated = "generated" if secret in catalogue.secrets else "set by you"
        assert re.search(rf"`{secret}`, {stated}", ROWS[name][5])


@pytest.mark.parametrize("name", entries(external=True))
def test_a_server_elsewhere_names_its_secret(catalogue: Catalogue, name: str) -> None:
    service = catalogue.services[name]
    assert isinstance(service, ExternalService)
    assert f"`{service.serves.api_key}`, set by you" in ROWS[name][5]
