"""The version that a rollback selects, and where it is read from."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from toolchain.commands.rollback import (
    Rollback,
    Version,
    image_references,
    readable,
    version_before,
    versions_listed,
)
from toolchain.project import Project
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Progress

FIRST = Version("20261101T090000Z", {"chat": "c1", "monitor": "m1"})
SECOND = Version("20261102T090000Z", {"chat": "c2", "monitor": "m1"})
THIRD = Version("20261103T090000Z", {"chat": "c2", "monitor": "m3"})
ALL = [FIRST, SECOND, THIRD]
IMAGES = ["chat", "monitor"]


def test_previous_version_is_selected() -> None:
    assert version_before(ALL, THIRD.images, IMAGES) == SECOND
    assert version_before(ALL, SECOND.images, IMAGES) == FIRST
    assert version_before(ALL, FIRST.images, IMAGES) is None


def test_previous_version_of_one_image_is_selected() -> None:
    assert version_before(ALL, THIRD.images, ["chat"]) == FIRST


def test_version_that_never_ran_healthy_goes_to_the_last_that_did() -> None:
    assert version_before(ALL, {"chat": "broken", "monitor": "m3"}, IMAGES) == THIRD


def test_new_image_has_no_previous_version() -> None:
    with_model = {**FIRST.images, "inference": "i1"}
    assert version_before([FIRST], with_model, [*with_model]) is None


def test_versions_are_read_from_image_tags() -> None:
    listing = (
        "llm-stack-prod/chat served-20261102T090000Z c2\n"
        "llm-stack-prod/chat served-20261101T090000Z c1\n"
        "llm-stack-prod/monitor served-20261102T090000Z m1\n"
        "llm-stack-prod/monitor served-20261101T090000Z m1\n"
    )
    assert versions_listed(listing, "prod") == [FIRST, SECOND]
    assert versions_listed("", "prod") == []


def test_references_are_read_from_the_state() -> None:
    kind = "llm-stack:index:ServiceImage"
    state = [
        {"type": kind, "urn": f"urn:pulumi:prod::p::{kind}::chat", "outputs": {"reference": "c1"}},
        {"type": kind, "urn": f"urn:pulumi:prod::p::{kind}::monitor"},
        {"type": "docker:index/container:Container", "urn": "urn::chat-interface", "outputs": {}},
    ]
    assert image_references({"deployment": {"resources": state}}) == {"chat": "c1"}
    assert image_references({"deployment": {}}) == {}


def test_moment_is_readable() -> None:
    assert readable(FIRST.moment) == "2026-11-01 09:00:00 UTC"


def test_versions_are_listed_on_the_engine_of_the_stack(
    project: Project,
    progress: Progress,
    pulumi: Callable[..., None],
    program: Callable[[str, str], None],
) -> None:
    pulumi(**{"docker:host": "ssh://deploy@berlin"})
    program("docker", 'echo "asked $DOCKER_HOST" >&2; exit 1')
    with pytest.raises(SetupError, match="asked ssh://deploy@berlin"):
        Rollback(project, progress, "prod").run([])


def test_stack_without_kept_versions_is_an_error_with_its_command(
    project: Project,
    progress: Progress,
    pulumi: Callable[..., None],
    program: Callable[[str, str], None],
) -> None:
    pulumi()
    program("docker", "")
    with pytest.raises(SetupError, match="pulumi config set keepVersions 3 --stack prod"):
        Rollback(project, progress, "prod").run([])
