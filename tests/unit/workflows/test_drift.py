"""One issue is open while a stack differs from its program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.workflows.conftest import World

pytestmark = pytest.mark.usefixtures("jq")

TITLE = "Drift: prod differs from its program"
RUN = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "team/stack",
    "GITHUB_RUN_ID": "99",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of a preview that found no drift."""
    folder = tmp_path / "drift"
    folder.mkdir()
    (folder / "events.json").write_text('{"sequence":1,"summaryEvent":{"result":"succeeded"}}\n')
    (folder / "errors.txt").write_text("")
    (folder / "report.md").write_text("<!-- marker -->\n- Nothing changes.\n")
    return folder


@pytest.fixture
def drifted(folder: Path) -> Path:
    (folder / "errors.txt").write_text(
        "error: no changes were expected for preview but changes were proposed\n"
    )
    return folder


def report(world: World, folder: Path, *open_issues: tuple[int, str], check: bool = True) -> str:
    world.fake("gh")
    issues = [{"number": number, "title": title} for number, title in open_issues]
    world.answer("list", stdout=json.dumps(issues))
    done = world.run("preview/report-drift", "prod", str(folder), check=check, variables=RUN)
    return done.stderr if done.returncode else ""


def test_drift_opens_an_issue(world: World, drifted: Path) -> None:
    report(world, drifted, (3, "Drift: staging differs from its program"))
    (created,) = world.calls("issue", "create")
    assert created[created.index("--title") + 1] == TITLE
    assert created[created.index("--label") + 1] == "drift"
    body = (drifted / "issue.md").read_text()
    assert "pulumi up --stack prod" in body
    assert "https://github.com/team/stack/actions/runs/99" in body
    assert world.calls("label", "create", "--force"), "the label may not exist yet"


def test_continuing_drift_updates_its_issue(world: World, drifted: Path) -> None:
    report(world, drifted, (8, TITLE))
    assert world.calls("create") == []
    (edited,) = world.calls("edit")
    assert edited[:4] == ["gh", "issue", "edit", "8"]


def test_resolved_drift_closes_its_issue(world: World, folder: Path) -> None:
    report(world, folder, (8, TITLE))
    (closed,) = world.calls("close")
    assert closed[:4] == ["gh", "issue", "close", "8"]


def test_stack_without_drift_changes_no_issue(world: World, folder: Path) -> None:
    report(world, folder)
    assert [call[2] for call in world.calls("gh")] == ["list"]


@pytest.mark.parametrize("events", ["", '{"sequence":1,"summaryEvent":{"result":"failed"}}\n'])
def test_failed_preview_is_an_error_and_keeps_the_issue(
    world: World, folder: Path, events: str
) -> None:
    (folder / "events.json").write_text(events)
    (folder / "errors.txt").write_text("error: could not reach the engine\n")
    output = report(world, folder, (8, TITLE), check=False)
    assert "could not reach the engine" in output
    assert world.calls("gh") == []
