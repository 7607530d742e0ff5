"""`image` and `build`."""

from __future__ import annotations

import pytest

from tests.unit.toolchain.compose.conftest import Importing, changed, outcome
from toolchain.compose.images import is_published


@pytest.mark.parametrize(
    ("image", "published"),
    [
        ("ghcr.io/open-webui/open-webui:main", True),
        ("example/app:1", True),
        ("app:local", False),
        ("app", False),
        ("example/app:local", False),
        ("localhost:5000/app:1", False),
        ("docker.io/local/app:1", False),
    ],
)
def test_whether_a_registry_has_a_built_image(image: str, published: bool) -> None:
    assert is_published(image) is published


def test_a_published_image_is_carried(compose: Importing) -> None:
    one = outcome(compose("services: {a: {image: 'postgres:${V:-17}'}}"), "a")
    assert one.entry["image"] == "postgres:17"
    assert "image" in one.carried


def test_the_default_tag_is_written_out(compose: Importing) -> None:
    one = outcome(compose("services: {a: {image: 'localhost:5000/redis'}}"), "a")
    assert one.entry["image"] == "localhost:5000/redis:latest"
    assert "the default tag written out" in changed(one)


def test_a_build_needs_its_dockerfile(compose: Importing) -> None:
    done = compose(
        "services: {my_app: {build: {context: ./src, dockerfile: x.Dockerfile, args: {A: b}}}}"
    )
    one = outcome(done, "my_app")
    assert one.entry["build"] == "my-app"
    assert one.written
    folder = done.project.folder
    assert f"needs a Dockerfile:\ncp {folder}/src/x.Dockerfile docker/my-app.Dockerfile" in changed(
        one
    )
    assert f"cp -r {folder}/src app/my-app" in changed(one)
    assert "build.args: builds have no such setting here" in changed(one)


def test_a_published_image_comes_before_its_build(compose: Importing) -> None:
    one = outcome(compose("services: {a: {build: ., image: 'ghcr.io/x/y:1'}}"), "a")
    assert one.entry["image"] == "ghcr.io/x/y:1"
    assert "build" not in one.entry


def test_an_image_that_another_service_builds(compose: Importing) -> None:
    done = compose("services: {web: {build: ., image: 'own:local'}, job: {image: 'own:local'}}")
    assert outcome(done, "web").entry["build"] == "web"
    assert outcome(done, "job").entry["build"] == "web"


def test_a_build_does_not_take_the_name_of_an_image_of_the_project(compose: Importing) -> None:
    one = outcome(compose("services: {chat: {build: ./chat}}"), "chat")
    assert one.entry["build"] == "shop-chat"


def test_a_service_without_an_image_or_with_half_of_one_is_refused(compose: Importing) -> None:
    done = compose("services: {a: {command: x}, b: {image: 'name:${UNSET}'}}")
    assert not outcome(done, "a").written
    assert not outcome(done, "b").written
