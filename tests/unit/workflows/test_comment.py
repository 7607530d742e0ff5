"""One comment a pull request and stack, brought up to date instead of doubled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workflows.conftest import World

MARKER = "<!-- llm-stack preview of prod -->"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.md"
    path.write_text(f"{MARKER}\n### Preview\n")
    return path


def comment(number: int, body: str, kind: str = "Bot") -> dict[str, Any]:
    return {"id": number, "user": {"type": kind}, "body": body}


def commented(world: World, report: Path, *comments: dict[str, Any]) -> list[str]:
    """What was sent when the pull request had these comments."""
    world.pretend("gh")
    world.answer("--paginate", says=json.dumps(comments))
    world.run("comment", "7", str(report), GITHUB_REPOSITORY="team/stack")
    (sent,) = world.calls("--method")
    return sent[1:]


def test_the_first_preview_makes_a_comment(world: World, report: Path) -> None:
    others = [comment(1, "Looks good"), comment(2, "<!-- llm-stack preview of staging -->\n")]
    assert commented(world, report, *others) == [
        *("api", "--method", "POST", "repos/team/stack/issues/7/comments"),
        *("--field", f"body=@{report}", "--silent"),
    ]


def test_a_later_preview_takes_its_place(world: World, report: Path) -> None:
    sent = commented(world, report, comment(1, "Hm"), comment(22, f"{MARKER}\nold"))
    assert sent[:4] == ["api", "--method", "PATCH", "repos/team/stack/issues/comments/22"]


def test_a_person_who_quotes_the_marker_is_not_overwritten(world: World, report: Path) -> None:
    sent = commented(world, report, comment(5, f"{MARKER}\nlook at this", kind="User"))
    assert "POST" in sent


def test_a_comment_that_cannot_be_looked_for_is_a_failure(world: World, report: Path) -> None:
    world.pretend("gh")
    world.answer("--paginate", complains="HTTP 403", code=1)
    failed = world.run("comment", "7", str(report), GITHUB_REPOSITORY="team/stack", check=False)
    assert failed.returncode != 0
    assert world.calls("--method") == []
