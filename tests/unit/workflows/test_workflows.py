"""The workflows: pinned actions, minimal permissions, no secrets for forks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.workflows.conftest import PROJECT_ROOT

WORKFLOWS = sorted((PROJECT_ROOT / ".github" / "workflows").glob("*.yaml"))
ACTIONS = sorted((PROJECT_ROOT / ".github" / "actions").glob("*/action.yaml"))


def contents(path: Path) -> dict[Any, Any]:
    """The parsed YAML of a workflow or an action."""
    content: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def triggers(workflow: dict[Any, Any]) -> dict[str, Any]:
    """The triggers of a workflow: YAML 1.1 reads the key `on` as true."""
    found: dict[str, Any] = workflow[True]
    return found


def test_workflows_are_the_documented_ones() -> None:
    assert [path.stem for path in WORKFLOWS] == ["deploy", "drift", "images", "preview", "test"]


def test_zizmor_finds_nothing() -> None:
    """Injection, persisted credentials, broad permissions, unpinned actions."""
    zizmor = Path(sys.executable).parent / "zizmor"
    linted = subprocess.run(
        [zizmor, "--offline", "--no-progress", ".github"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_declares_its_permissions(path: Path) -> None:
    workflow = contents(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"], name
        assert job["permissions"].get("contents") == "read", name


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name + path.stem
)
def test_third_party_actions_are_pinned_by_commit(path: Path) -> None:
    for used in re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8")):
        action, comment = used
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), (
                f"{action}: add its release as a comment"
            )


def test_code_of_a_fork_has_no_secrets() -> None:
    """`pull_request` runs of forks have no secrets; other triggers would expose them."""
    for path in WORKFLOWS:
        workflow = contents(path)
        assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(
            triggers(workflow)
        ), path.name
        if "pull_request" not in triggers(workflow):
            continue
        for name, job in workflow["jobs"].items():
            if "secrets." in yaml.safe_dump(job):
                condition = job["if"]
                assert "head.repo.full_name == github.repository" in condition, name


def environments(workflow: str) -> dict[str, str]:
    """The environment of each job of a workflow that has one."""
    jobs = contents(PROJECT_ROOT / ".github" / "workflows" / f"{workflow}.yaml")["jobs"]
    return {
        name: job["environment"]
        if isinstance(job["environment"], str)
        else job["environment"]["name"]
        for name, job in jobs.items()
        if "environment" in job
    }


def test_code_of_a_branch_waits_for_an_approval() -> None:
    """Only a preview runs a branch's code with secrets; its environment requires reviewers."""
    stack = "${{ matrix.stack }}"
    assert environments("preview") == {"stacks": f"{stack}-preview"}
    assert environments("deploy") == {"up": stack}
    assert environments("drift") == {"compare": f"{stack}-drift"}
    assert environments("images") == {"build": "images", "join": "images"}
    jobs = contents(PROJECT_ROOT / ".github" / "workflows" / "preview.yaml")["jobs"]
    assert jobs["stacks"]["needs"] == "environments"
    assert "secrets." not in yaml.safe_dump(jobs["environments"])


def test_every_secret_belongs_to_an_environment() -> None:
    for path in WORKFLOWS:
        for name, job in contents(path)["jobs"].items():
            if "secrets." in yaml.safe_dump(job):
                assert "environment" in job, f"{path.name}: {name}"


def test_runs_on_one_stack_are_serialized_and_not_cancelled() -> None:
    """GitHub cancels what waits in a group for what comes later: a comparison is in another one."""
    for name, job in (("deploy", "up"), ("drift", "compare")):
        jobs = contents(PROJECT_ROOT / ".github" / "workflows" / f"{name}.yaml")["jobs"]
        group = {"deploy": "stack", "drift": "drift"}[name]
        assert jobs[job]["concurrency"] == {
            "group": group + "-${{ matrix.stack }}",
            "cancel-in-progress": False,
        }


def test_a_stack_is_not_compared_during_a_deployment() -> None:
    jobs = contents(PROJECT_ROOT / ".github" / "workflows" / "drift.yaml")["jobs"]
    steps = {step.get("name"): step for step in jobs["compare"]["steps"]}
    for name in ("Compare", "Report"):
        assert steps[name]["if"] == "steps.deployments.outputs.running == '0'"


def test_full_tests_wait_for_the_fast_checks() -> None:
    jobs = contents(PROJECT_ROOT / ".github" / "workflows" / "test.yaml")["jobs"]
    assert jobs["check"]["steps"][-1]["run"] == "./dev check --cov"
    assert jobs["everything"]["needs"] == "check"


MANIFESTS = {
    "pip": "*requirements*.in",
    "npm": "package.json",
    "docker": "*Dockerfile",
    "gomod": "go.mod",
}


@pytest.mark.parametrize("ecosystem", MANIFESTS)
def test_dependabot_updates_every_folder(ecosystem: str) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--", f":(glob)**/{MANIFESTS[ecosystem]}"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    folders = {f"/{Path(file).parent}".removesuffix("/.") or "/" for file in tracked}
    updates = contents(PROJECT_ROOT / ".github" / "dependabot.yml")["updates"]
    (update,) = [one for one in updates if one["package-ecosystem"] == ecosystem]
    assert folders
    assert folders <= set(update.get("directories") or [update["directory"]])
