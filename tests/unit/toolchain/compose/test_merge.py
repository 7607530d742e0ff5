"""Compose's rules for several files."""

from __future__ import annotations

from tests.unit.toolchain.compose.conftest import Files, Loading

BASE = """
services:
  a:
    image: base
    command: [one, two]
    environment: {A: 1, B: 2}
    ports: ["80:80"]
    volumes: ["data:/data", "./x:/x"]
    labels: [first=1]
    healthcheck: {test: [CMD, "true"], interval: 5s}
    depends_on: [b]
    deploy: {resources: {limits: {memory: 1g}}}
  b: {image: b}
"""


def test_a_later_file_merges_and_replaces(load: Loading) -> None:
    service = load(
        BASE,
        """
        services:
          a:
            image: above
            command: three
            environment: [B=3, C=4]
            ports: ["81:81", "80:80"]
            volumes: ["other:/data"]
            labels: {second: "2"}
            healthcheck: {test: ["CMD", "false"]}
            depends_on: {b: {condition: service_healthy}}
            deploy: {resources: {limits: {cpus: "2"}}}
        """,
    ).services["a"]
    assert service["image"] == "above"
    assert service["command"] == "three"
    assert service["environment"] == {"A": "1", "B": "3", "C": "4"}
    assert [port.host for port in service["ports"]] == [80, 81]
    assert [(one.source, one.target) for one in service["volumes"]] == [
        ("other", "/data"),
        ("./x", "/x"),
    ]
    assert service["labels"] == {"first": "1", "second": "2"}
    assert service["healthcheck"] == {"test": ["CMD", "false"], "interval": "5s"}
    assert service["depends_on"] == {"b": {"condition": "service_healthy"}}
    assert service["deploy"]["resources"]["limits"] == {"memory": "1g", "cpus": "2"}


def test_reset_and_override(load: Loading) -> None:
    service = load(
        BASE,
        """
        services:
          a:
            command: !reset null
            ports: !override ["90:90"]
            environment: !override {ONLY: 1}
            volumes: !reset []
          b: !reset null
        """,
    ).services
    assert "command" not in service["a"]
    assert "volumes" not in service["a"]
    assert [port.host for port in service["a"]["ports"]] == [90]
    assert service["a"]["environment"] == {"ONLY": "1"}
    assert "b" not in service


def test_several_documents_in_a_file_are_merged(load: Loading) -> None:
    project = load("services: {a: {image: x}}\n---\nservices: {a: {user: '5'}}\n")
    assert (project.services["a"]["image"], project.services["a"]["user"]) == ("x", "5")


def test_extends_in_the_file_and_in_another_one(load: Loading, write: Files) -> None:
    write(
        "base/common.yml",
        """
        services:
          web: {image: web, environment: {A: 1}, volumes: ["./conf:/conf"], extends: {service: root}}
          root: {restart: always, image: root}
        """,
    )
    services = load(
        """
        services:
          a: {extends: {file: base/common.yml, service: web}, environment: {B: 2}}
          b: {extends: a, image: own}
        """
    ).services
    assert services["a"]["image"] == "web"
    assert services["a"]["restart"] == "always"
    assert services["a"]["environment"] == {"A": "1", "B": "2"}
    assert services["a"]["volumes"][0].folder.name == "base"
    assert services["b"]["image"] == "own"
    assert services["b"]["environment"] == {"A": "1", "B": "2"}


def test_include(load: Loading, write: Files) -> None:
    write("more/stores.yml", "services: {db: {image: postgres:17}}\nvolumes: {data: {}}\n")
    project = load("include: [more/stores.yml]\nservices: {a: {image: a}}\n")
    assert set(project.services) == {"a", "db"}
    assert "data" in project.volumes
