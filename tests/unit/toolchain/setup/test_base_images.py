"""Base images: the published ones, or substitutes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain.project import Project
from toolchain.setup import base_images, fallback
from toolchain.setup.base_images import BaseImage, describe, registry_reachable
from toolchain.terminal.progress import Step

Program = Callable[[str, str], None]


@pytest.fixture
def docker(
    project: Project, program: Program, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Creates a fake docker, the first on PATH."""
    monkeypatch.setenv("PATH", f"{project.bin}:/usr/bin:/bin")
    return lambda script: program("docker", script)


def test_substitute_is_not_described_as_the_published_image() -> None:
    assert "not the published image" in describe({"llm-stack.stand-in": "true"})
    assert describe({}) == "the published image"


def test_present_image_is_kept(project: Project, docker: Callable[[str], None]) -> None:
    docker(f"echo '{json.dumps({'llm-stack.stand-in': 'true'})}'")
    finding = BaseImage(project, "ubuntu:24.04").find()
    assert finding.ready
    assert "substitute" in finding.what


def test_substitute_is_only_built_without_a_registry(
    project: Project,
    docker: Callable[[str], None],
    step: Step,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    docker('case "$1" in pull) echo "$@" ;; *) exit 1 ;; esac')
    built: list[str] = []

    def build(name: str, log: Path, step: Step) -> None:
        built.append(name)

    monkeypatch.setattr(fallback, "build_base_image", build)
    for reachable in (True, False):
        monkeypatch.setattr(base_images, "registry_reachable", lambda value=reachable: value)
        BaseImage(project, "ubuntu:24.04").make(step)
    assert "pull ubuntu:24.04" in (project.step_logs / "base-images.log").read_text()
    assert built == ["ubuntu:24.04"]


def test_mirror_of_the_engine_counts_as_a_registry(docker: Callable[[str], None]) -> None:
    docker("echo '[\"https://mirror.example.com/\"]'")
    assert registry_reachable(lambda url: False)
    docker("echo '[]'")
    assert not registry_reachable(lambda url: False)
    assert registry_reachable(lambda url: True)
