"""The check that previews with secrets wait for an approval."""

from __future__ import annotations

import json

import pytest

from tests.unit.workflows.conftest import World

VARIABLES = {"GITHUB_REPOSITORY": "team/llm-stack", "STACKS": '["prod", "staging"]'}


def environment(*rules: str) -> str:
    return json.dumps({"protection_rules": [{"type": rule} for rule in rules]})


@pytest.mark.usefixtures("jq")
def test_environments_with_required_reviewers_pass(world: World) -> None:
    world.fake("gh")
    world.answer("api", stdout=environment("branch_policy", "required_reviewers"))
    world.run("preview/require-reviewers", variables=VARIABLES)
    paths = [call[2] for call in world.calls("gh", "api")]
    assert paths == [
        f"repos/team/llm-stack/environments/{stack}-preview" for stack in ("prod", "staging")
    ]


@pytest.mark.usefixtures("jq")
def test_environment_without_reviewers_is_an_error(world: World) -> None:
    world.fake("gh")
    path = "repos/team/llm-stack/environments/staging-preview"
    world.answer(path, stdout=environment("branch_policy"))
    world.answer("api", stdout=environment("required_reviewers"))
    refused = world.run("preview/require-reviewers", variables=VARIABLES, check=False)
    assert refused.returncode == 1
    assert "the environment staging-preview has no required reviewers" in refused.stderr
    assert "prod-preview" not in refused.stderr


@pytest.mark.usefixtures("jq")
def test_missing_environment_is_an_error(world: World) -> None:
    world.fake("gh")
    world.answer("api", code=1)
    refused = world.run("preview/require-reviewers", variables=VARIABLES, check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("has no required reviewers") == 2
