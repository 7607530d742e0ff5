"""One preview comment for each pull request and stack, updated in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workflows.conftest import World

pytestmark = pytest.mark.usefixtures("jq")

MARKER = "<!-- llm-stack preview of prod -->"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.md"
    path.write_text(f"{MARKER}\n### Preview\n")
    return path


def comment(number: int, body: str, kind: str = "Bot") -> dict[str, Any]:
    return {"id": number, "user": {"type": kind}, "body": body}


def commented(world: World, report: Path, *comments: dict[str, Any]) -> list[str]:
    """The call that writes, for a pull request with these comments."""
    world.fake("gh")
    world.answer("--paginate", stdout=json.dumps(comments))
    world.run("preview/comment", "7", str(report), GITHUB_REPOSITORY="team/stack")
    (sent,) = world.calls("--method")
    return sent[1:]


def test_first_preview_creates_a_comment(world: World, report: Path) -> None:
    others = [comment(1, "Looks good"), comment(2, "<!-- llm-stack preview of staging -->\n")]
    assert commented(world, report, *others) == [
        *("api", "--method", "POST", "repos/team/stack/issues/7/comments"),
        *("--field", f"body=@{report}", "--silent"),
    ]


def test_later_preview_updates_the_comment(world: World, report: Path) -> None:
    sent = commented(world, report, comment(1, "Hm"), comment(22, f"{MARKER}\nold"))
    assert sent[:4] == ["api", "--method", "PATCH", "repos/team/stack/issues/comments/22"]


def test_comment_of_a_person_with_the_marker_is_kept(world: World, report: Path) -> None:
    sent = commented(world, report, comment(5, f"{MARKER}\nlook at this", kind="User"))
    assert "POST" in sent


def test_failed_search_writes_no_comment(world: World, report: Path) -> None:
    world.fake("gh")
    world.answer("--paginate", stderr="HTTP 403", code=1)
    failed = world.run(
        "preview/comment", "7", str(report), GITHUB_REPOSITORY="team/stack", check=False
    )
    assert failed.returncode != 0
    assert world.calls("--method") == []
