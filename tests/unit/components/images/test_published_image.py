"""Published images: a tag becomes a digest, by the engine's own request to its registry."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import docker
import pytest
import requests

from components.images.published_image import FoundImage, MissingImage, find_images
from tests.doubles.recording_engine import Graph
from tests.unit.components.conftest import Project

DIGEST = "sha256:" + "0a" * 32
OTHER = "sha256:" + "0b" * 32
ID = "sha256:" + "1c" * 32


def api_error(text: str) -> docker.errors.APIError:
    return docker.errors.APIError("500 Server Error", explanation=text)


class Engine:
    """A double of Docker's client: what registries have, and what the engine itself has."""

    def __init__(self) -> None:
        self.images = self
        self.published: dict[str, str | Exception] = {}
        self.own: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.closed = False

    def get_registry_data(self, reference: str) -> SimpleNamespace:
        self.asked.append(reference)
        found = self.published.get(reference, api_error(f"manifest unknown: {reference}"))
        if isinstance(found, Exception):
            raise found
        return SimpleNamespace(id=found)

    def get(self, reference: str) -> SimpleNamespace:
        if reference not in self.own:
            raise docker.errors.ImageNotFound("no such image")
        return SimpleNamespace(id=ID, attrs={"RepoDigests": self.own[reference]})

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(
        "components.images.published_image.docker_client", lambda host, timeout: engine
    )
    return engine


def find(reference: str) -> FoundImage | MissingImage:
    return find_images({reference}, None)[reference]


@pytest.mark.parametrize("reference", [f"postgres@{DIGEST}", f"postgres:17@{DIGEST}"])
def test_an_image_with_a_digest_needs_no_registry_and_no_engine(
    monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    monkeypatch.delattr("components.images.published_image.docker_client")
    assert find(reference) == FoundImage(f"postgres@{DIGEST}")


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("postgres:17", f"postgres@{DIGEST}"),
        ("postgres", f"postgres@{DIGEST}"),
        ("localhost:5000/team/app:1.0", f"localhost:5000/team/app@{DIGEST}"),
    ],
)
def test_a_tag_becomes_the_digest_that_its_registry_has(
    engine: Engine, reference: str, name: str
) -> None:
    engine.published[reference] = DIGEST
    assert find(reference) == FoundImage(name)
    assert engine.asked == [reference]
    assert engine.closed


def test_only_tags_are_looked_up(engine: Engine) -> None:
    engine.published |= {"aa:1": DIGEST, "bb:1": OTHER}
    found = find_images({"aa:1", "bb:1", f"cc@{DIGEST}"}, None)
    assert found == {
        "aa:1": FoundImage(f"aa@{DIGEST}"),
        "bb:1": FoundImage(f"bb@{OTHER}"),
        f"cc@{DIGEST}": FoundImage(f"cc@{DIGEST}"),
    }
    assert sorted(engine.asked) == ["aa:1", "bb:1"]


@pytest.mark.parametrize(
    "failure", [api_error("timeout"), requests.exceptions.ReadTimeout("timeout")]
)
@pytest.mark.parametrize(
    ("reference", "digests", "name"),
    [
        ("postgres:17", [f"postgres@{DIGEST}"], "postgres"),
        ("docker.io/library/postgres:17", [f"postgres@{DIGEST}"], "docker.io/library/postgres"),
        ("docker.io/team/app:1", [f"team/app@{DIGEST}"], "docker.io/team/app"),
        ("ghcr.io/a/b:1", [f"other@{OTHER}", f"ghcr.io/a/b@{DIGEST}"], "ghcr.io/a/b"),
    ],
)
def test_the_copy_of_the_engine_is_used_where_the_registry_does_not_answer(
    engine: Engine, failure: Exception, reference: str, digests: list[str], name: str
) -> None:
    engine.published[reference] = failure
    engine.own[reference] = digests
    assert find(reference) == FoundImage(
        f"{name}@{DIGEST}",
        f"{reference}: the engine's copy is used, its registry did not answer: timeout",
    )


@pytest.mark.parametrize("digests", [[], [f"elsewhere@{DIGEST}"]])
def test_an_image_that_the_engine_alone_has_is_used_by_its_id(
    engine: Engine, digests: list[str]
) -> None:
    engine.own["mine:1"] = digests
    found = find("mine:1")
    assert found == FoundImage(ID)
    assert isinstance(found, FoundImage)
    assert found.is_local


def test_an_image_that_is_nowhere_is_missing(engine: Engine) -> None:
    assert find("postgre:17") == MissingImage("manifest unknown: postgre:17")


def test_a_tag_stays_where_no_engine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(host: str | None, timeout: int) -> None:
        raise docker.errors.DockerException("connection refused")

    monkeypatch.setattr("components.images.published_image.docker_client", fail)
    assert find("postgres:17") == FoundImage("postgres:17"), "the provider reports the engine"


CATALOGUE = """
services:
  aa: {kind: container, image: "redis:7"}
  bb: {kind: container, image: "redis:7"}
"""


def image_of(graph: Graph, service: str) -> Any:
    return graph.running[service].inputs["image"]


def test_one_image_is_pulled_once_and_stays_on_the_engine(project: Project, engine: Engine) -> None:
    engine.published["redis:7"] = DIGEST
    graph = project.run(CATALOGUE)
    pulled = graph.of("RemoteImage")["redis:7-pull"]
    assert pulled.inputs == {"name": f"redis@{DIGEST}", "keepLocally": True}
    assert image_of(graph, "aa") == image_of(graph, "bb") == f"redis@{DIGEST}"
    assert "redis:7-pull" in graph.running["aa"].depends_on


def test_a_moved_tag_is_another_image(project: Project, engine: Engine) -> None:
    engine.published["redis:7"] = DIGEST
    before = project.run(CATALOGUE)
    engine.published["redis:7"] = OTHER
    assert image_of(before, "aa") != image_of(project.run(CATALOGUE), "aa")


def test_an_image_of_the_engine_alone_is_not_pulled(project: Project, engine: Engine) -> None:
    engine.own["redis:7"] = []
    graph = project.run(CATALOGUE)
    assert image_of(graph, "aa") == ID
    assert "redis:7-pull" not in graph.of("RemoteImage")


def test_the_nodes_of_a_swarm_pull_by_themselves(project: Project, engine: Engine) -> None:
    engine.published["redis:7"] = DIGEST
    graph = project.run(CATALOGUE, orchestrator="swarm", swarm={"singleNode": True})
    spec = graph.of("Service")["aa"].inputs["taskSpec"]["containerSpec"]
    assert spec["image"] == f"redis@{DIGEST}"
    assert "redis:7-pull" not in graph.of("RemoteImage")


def test_the_use_of_an_old_copy_is_a_warning(
    project: Project, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.published["redis:7"] = api_error("timeout")
    engine.own["redis:7"] = [f"redis@{DIGEST}"]
    warnings: list[str] = []
    monkeypatch.setattr("components.preflight.published_images.pulumi.log.warn", warnings.append)
    assert image_of(project.run(CATALOGUE), "aa") == f"redis@{DIGEST}"
    assert warnings == ["redis:7: the engine's copy is used, its registry did not answer: timeout"]


def test_an_image_in_the_stacks_registry_is_pulled_with_its_password(
    project: Project, engine: Engine
) -> None:
    own = "registry.example.com/tools/redis:7"
    engine.published |= {"redis:7": DIGEST, own: OTHER}
    registry = {"server": "registry.example.com", "repository": "team", "username": "robot"}
    text = CATALOGUE.replace('"redis:7"', f'"{own}"', 1)
    graph = project.run(text, {"registryPassword": "not-a-password"}, registry=registry)
    pulled = graph.of("RemoteImage")
    assert "::registry::" in pulled[f"{own}-pull"].provider
    assert "::registry::" not in pulled["redis:7-pull"].provider


def test_a_missing_image_is_a_problem_of_each_service_with_its_line(
    project: Project, engine: Engine
) -> None:
    text = (
        "the engine cannot find the image: manifest unknown: redis:7; found 'redis:7'; allowed: an "
        "image of a registry that the engine reaches, or one that it has; run: docker pull redis:7"
    )
    assert project.refusal(CATALOGUE) == [
        f"services.yaml:3: services.aa.image: {text}",
        f"services.yaml:4: services.bb.image: {text}",
    ]
