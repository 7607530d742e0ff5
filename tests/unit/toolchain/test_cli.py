"""What a person types, and what `down` and the checks make of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import cli
from toolchain.checks import test_selection as selection
from toolchain.progress import Progress
from toolchain.project import Project


def test_no_command_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "./dev" in capsys.readouterr().out


@pytest.mark.parametrize("args", [["sideways"], ["up", "--faster"], ["doctor", "extra"]])
def test_what_is_not_known_is_refused(args: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(args)
    assert end.value.code == 2


def test_down_where_nothing_is_up_is_no_error(
    project: Project, progress: Progress, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.down(project, progress, volumes=False) == 0


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    for folder in ("tests/unit", "tests/integration", "tests/web"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def test_all_tests_run_the_quick_ones_first(tests: Path) -> None:
    assert selection(["-x"], tests) == ["-x", "tests/unit", "tests/integration", "tests/web"]


def test_named_tests_run_alone(tests: Path) -> None:
    assert selection(["tests/unit::test_one", "-x"], tests) == ["tests/unit::test_one", "-x"]


def test_the_value_of_an_option_is_no_selection(tests: Path) -> None:
    assert selection(["-k", "chat"], tests)[2:] == ["tests/unit", "tests/integration", "tests/web"]
