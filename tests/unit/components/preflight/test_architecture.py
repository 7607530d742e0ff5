"""Images for another processor than that of the engine's machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.engine.info import EngineInfo
from components.engine.platforms import ImagePlatforms
from tests.unit.components.conftest import Project

DIGEST = "sha256:" + "0a" * 32
IMAGE = f"redis@{DIGEST}"
CATALOGUE = f"""
services:
  aa: {{kind: container, image: "{IMAGE}"}}
"""
ARM = ImagePlatforms(("linux/arm64",))
REGISTRY = {"server": "localhost:5000", "repository": "app", "username": "me"}
PASSWORD = {"registryPassword": "nothing-real"}
PROBLEM = (
    "services.yaml:3: services.aa.image: is for another processor than the engine's, amd64; it is "
    f"for linux/arm64; found '{IMAGE}'; allowed: an image for linux/amd64; "
    f"run: docker manifest inspect {IMAGE}"
)


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """This machine's emulators: none, unless a test adds one."""
    folder = tmp_path / "binfmt_misc"
    folder.mkdir()
    (folder / "status").touch()
    monkeypatch.setattr("components.preflight.architecture.HANDLERS", folder)
    return folder


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, handlers: Path) -> Any:
    """An engine with these images; on this machine unless `local` is false."""

    def engine(platforms: dict[str, ImagePlatforms], local: bool = True, **info: Any) -> list[str]:
        warnings: list[str] = []
        known = EngineInfo(**{"architecture": "x86_64", **info})
        checks = "components.preflight.checks"
        monkeypatch.setattr(f"{checks}.ask_engine", lambda host: known)
        monkeypatch.setattr(f"{checks}.is_local", lambda host, info: local)
        architecture = "components.preflight.architecture"
        monkeypatch.setattr(f"{architecture}.image_platforms", lambda images, host: platforms)
        monkeypatch.setattr(f"{architecture}.pulumi.log.warn", warnings.append)
        return warnings

    return engine


def test_an_image_for_another_processor_is_refused(project: Project, engine: Any) -> None:
    engine({IMAGE: ARM})
    assert project.refusal(CATALOGUE) == [PROBLEM]


@pytest.mark.parametrize(
    ("platforms", "info"),
    [
        (ImagePlatforms(("linux/arm64", "linux/amd64"), chosen_by_engine=True), {}),
        (ImagePlatforms(("linux/386",)), {}),
        (ImagePlatforms(("linux/arm",)), {"architecture": "aarch64"}),
        (ARM, {"architecture": "aarch64"}),
        (ARM, {"architecture": ""}),
        (ARM, {"desktop": True}),
    ],
)
def test_what_the_machine_runs_is_not_refused(
    project: Project, engine: Any, platforms: ImagePlatforms, info: dict[str, Any]
) -> None:
    engine({IMAGE: platforms}, **info)
    assert "aa" in project.run(CATALOGUE).running


def test_an_emulated_processor_is_not_refused(
    project: Project, engine: Any, handlers: Path
) -> None:
    (handlers / "qemu-aarch64").touch()
    engine({IMAGE: ARM})
    assert "aa" in project.run(CATALOGUE).running
    engine({IMAGE: ImagePlatforms(("linux/arm64", "linux/s390x"), chosen_by_engine=True)})
    assert len(project.refusal(CATALOGUE)) == 1, "the engine would pull none of them"


def test_the_emulators_of_another_machine_are_not_known(project: Project, engine: Any) -> None:
    warnings = engine({IMAGE: ARM}, local=False)
    assert "aa" in project.run(CATALOGUE).running
    assert warnings == [
        f"{IMAGE} is for another processor than the engine's, amd64; it runs only where that "
        "machine emulates linux/arm64"
    ]


def test_a_pinned_image_for_another_processor_is_refused(project: Project, engine: Any) -> None:
    engine({f"localhost:5000/app/monitor@{DIGEST}": ARM})
    (problem,) = project.refusal(
        CATALOGUE, PASSWORD, registry=REGISTRY, imageDigests={"monitor": DIGEST}
    )
    assert "llm-stack:imageDigests.monitor: is for another processor" in problem
    assert problem.endswith("run: pulumi config rm --path 'llm-stack:imageDigests.monitor'")


def test_images_that_the_engine_builds_are_for_its_processor(project: Project, engine: Any) -> None:
    engine({}, architecture="aarch64")
    (problem,) = project.refusal(CATALOGUE, PASSWORD, registry=REGISTRY)
    assert "llm-stack:registry.platforms.0: is for another processor than the engine's" in problem
    assert problem.endswith("'llm-stack:registry.platforms[0]' linux/arm64")
