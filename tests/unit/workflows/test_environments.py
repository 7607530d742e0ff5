"""The check that secrets wait for an approval, or are those of main only."""

from __future__ import annotations

import json

import pytest

from tests.unit.workflows.conftest import World

pytestmark = pytest.mark.usefixtures("jq")

VARIABLES = {"GITHUB_REPOSITORY": "team/llm-stack", "STACKS": '["prod", "staging"]'}
PATH = "repos/team/llm-stack/environments/"
OF_MAIN = ("prod", "prod-drift", "staging", "staging-drift", "images")


def environment(*rules: str) -> str:
    return json.dumps({"protection_rules": [{"type": rule} for rule in rules]})


def check(world: World) -> str:
    """The errors of the check; the environments without another answer have every rule."""
    world.fake("gh")
    world.answer("api", stdout=environment("branch_policy", "required_reviewers"))
    done = world.run("preview/check-environments", variables=VARIABLES, check=False)
    assert bool(done.returncode) == bool(done.stderr)
    return done.stderr


def test_environments_with_their_rules_pass(world: World) -> None:
    for name in OF_MAIN:
        world.answer(f"{PATH}{name}", stdout=environment("branch_policy"))
    for stack in ("prod", "staging"):
        world.answer(f"{PATH}{stack}-preview", stdout=environment("required_reviewers"))
    assert check(world) == ""


def test_a_preview_without_reviewers_is_an_error(world: World) -> None:
    world.answer(f"{PATH}staging-preview", stdout=environment("branch_policy"))
    (error,) = check(world).splitlines()
    assert "the environment staging-preview has no required reviewers" in error


@pytest.mark.parametrize("name", OF_MAIN)
def test_secrets_that_every_branch_may_use_are_an_error(world: World, name: str) -> None:
    world.answer(f"{PATH}{name}", stdout=environment("required_reviewers"))
    (error,) = check(world).splitlines()
    assert f"the environment {name} has no deployment branches" in error


def test_an_environment_that_is_not_set_up_is_an_error(world: World) -> None:
    world.answer(f"{PATH}prod", code=1)
    assert "Settings, Environments, prod\n" in check(world)
