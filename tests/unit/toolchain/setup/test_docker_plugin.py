"""The Docker plugin: official, built, incomplete."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.offline.go_modules import programs_folder
from toolchain.project import Project
from toolchain.setup.docker_plugin import DockerPlugin


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "pulumi-resource-docker").write_text("")
    return folder


def test_empty_folder_of_an_interrupted_install_is_not_ready(
    project: Project, tmp_path: Path
) -> None:
    assert not DockerPlugin(project, tmp_path).find().ready


def test_official_plugin_is_not_changed(project: Project, folder: Path) -> None:
    finding = DockerPlugin(project, folder).find()
    assert finding.ready
    assert "the official one" in finding.what


def test_plugin_built_from_other_module_files_is_replaced(project: Project, folder: Path) -> None:
    mark = folder / ".built-by-llm-stack"
    mark.write_text(programs_folder(project).name)
    assert DockerPlugin(project, folder).find().ready
    mark.write_text("another")
    assert not DockerPlugin(project, folder).find().ready
