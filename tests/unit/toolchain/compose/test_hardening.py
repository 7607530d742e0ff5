"""User, root file system and capabilities."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.toolchain.compose.conftest import Importing, changed, outcome
from toolchain.compose.hardening import ROOT_ENTRYPOINT

QDRANT = """
services:
  qdrant:
    kind: container
    image: qdrant/qdrant:v1.19.1
    user: "1000:1000"
    environment: {INIT_FILE: /qdrant/storage/.init, MODE: quiet}
    tmpfs: ["/run:size=1m"]
    volumes: ["qdrant:/qdrant/storage"]
    port: 6333
    health: /readyz
    memory: 2GiB
    cpus: 2
"""


def test_limits_of_the_compose_file_come_before_those_of_the_catalogue(
    compose: Importing, checkout: Path
) -> None:
    (checkout / "catalog" / "qdrant.yaml").write_text(QDRANT)
    done = compose("services: {store: {image: 'qdrant/qdrant:v1', mem_limit: 1g, cpus: 0.5}}")
    entry = outcome(done, "store").entry
    assert (entry["memory"], entry["cpus"]) == ("1GiB", 0.5)


def test_a_service_without_limits_has_those_of_the_stack(compose: Importing) -> None:
    one = outcome(compose("services: {app: {image: 'a:1'}}"), "app")
    assert "memory" not in one.entry
    assert "llm-stack:defaults.memory" in changed(one)


def test_an_unknown_image_is_loosened_and_the_report_says_how_to_tighten_it(
    compose: Importing,
) -> None:
    one = outcome(compose("services: {app: {image: 'a:1'}}"), "app")
    assert one.entry["user"] == "image"
    assert one.entry["read_only"] is False
    assert one.entry["cap_add"] == ROOT_ENTRYPOINT
    assert "To tighten it, remove cap_add" in changed(one)


def test_an_image_of_the_catalogue_has_its_settings(compose: Importing, checkout: Path) -> None:
    (checkout / "catalog" / "qdrant.yaml").write_text(QDRANT)
    one = outcome(
        compose(
            "services: {store: {image: docker.io/qdrant/qdrant, volumes: ['s:/qdrant/storage']}}"
        ),
        "store",
    )
    assert one.entry["user"] == "1000:1000"
    assert "read_only" not in one.entry
    assert "cap_add" not in one.entry
    assert one.entry["tmpfs"] == ["/run:size=1m"]
    assert one.entry["health"] == "/readyz"
    assert one.entry["environment"] == {"INIT_FILE": "/qdrant/storage/.init"}
    assert (one.entry["memory"], one.entry["cpus"]) == ("2GiB", 2)
    assert "as the catalogue's qdrant" in changed(one)


@pytest.mark.parametrize(
    "keys",
    [
        "volumes: ['s:/elsewhere']",
        "volumes: ['/srv/q:/qdrant/storage']",
        "entrypoint: sh, volumes: ['s:/qdrant/storage']",
        "image: 'qdrant/qdrant:v1-alpine', volumes: ['s:/qdrant/storage']",
    ],
)
def test_an_image_that_is_used_in_another_way_is_loosened(
    compose: Importing, checkout: Path, keys: str
) -> None:
    (checkout / "catalog" / "qdrant.yaml").write_text(QDRANT)
    text = f"services: {{store: {{image: 'qdrant/qdrant:v1', {keys}}}}}"
    if "image:" in keys:
        text = f"services: {{store: {{{keys}}}}}"
    one = outcome(compose(text), "store")
    assert one.entry["user"] == "image"
    assert one.entry["read_only"] is False


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("user: '1000:1000'", ("1000:1000", False, None)),
        ("user: 1000", ("1000", False, None)),
        ("user: node", ("node", False, None)),
        ("user: root", ("root", False, ROOT_ENTRYPOINT)),
        ("user: '${UID}:${GID}'", ("image", False, ROOT_ENTRYPOINT)),
        ("read_only: true", ("image", None, ROOT_ENTRYPOINT)),
        ("user: '5', cap_add: [CAP_NET_ADMIN]", ("5", False, ["NET_ADMIN"])),
        ("cap_add: [NET_ADMIN]", ("image", False, sorted([*ROOT_ENTRYPOINT, "NET_ADMIN"]))),
    ],
)
def test_what_the_compose_file_has_comes_first(
    compose: Importing, keys: str, expected: tuple[object, ...]
) -> None:
    entry = outcome(compose(f"services: {{app: {{image: 'a:1', {keys}}}}}"), "app").entry
    assert (entry["user"], entry.get("read_only"), entry.get("cap_add")) == expected


@pytest.mark.parametrize("capability", ["SYS_ADMIN", "ALL", "CAP_SYS_PTRACE", "sys_module"])
def test_capabilities_that_open_the_machine_are_refused(
    compose: Importing, capability: str
) -> None:
    one = outcome(compose(f"services: {{app: {{image: 'a:1', cap_add: [{capability}]}}}}"), "app")
    assert not one.written
