"""Which Docker plugin is taken as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.project import Project
from toolchain.setup.docker_plugin import DockerPlugin
from toolchain.setup.pulumi_programs import cache_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "pulumi-resource-docker").write_text("")
    return folder


def test_an_empty_folder_of_an_install_that_was_cut_off_is_no_plugin(
    project: Project, tmp_path: Path
) -> None:
    assert not DockerPlugin(project, tmp_path).find().ready


def test_pulumis_own_plugin_is_left_alone(project: Project, folder: Path) -> None:
    finding = DockerPlugin(project, folder).find()
    assert finding.ready
    assert "Pulumi's own" in finding.what


def test_a_plugin_built_from_other_module_files_is_replaced(project: Project, folder: Path) -> None:
    mark = folder / ".built-by-llm-stack"
    mark.write_text(cache_folder(project).name)
    assert DockerPlugin(project, folder).find().ready
    mark.write_text("another")
    assert not DockerPlugin(project, folder).find().ready
