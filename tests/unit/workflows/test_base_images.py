"""Base images of published images are pinned in a stack's settings, and compared with their tags."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.workflows.conftest import SCRIPTS, ProjectMaker, World
from tests.unit.workflows.test_images import PROD

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TAGS = {
    "python": "python:3.11-slim",
    "ubuntu": "ubuntu:24.04",
    "cloudflared": "cloudflare/cloudflared:2026.8.2",
    "llama": "ghcr.io/ggml-org/llama.cpp:server-b11312",
}
COMMENTED = f"""# The production stack.
config:
  llm-stack:services: all
  llm-stack:baseImages:
    # From the company's mirror.
    python: registry.example.com/python:3.11-slim@{OLD}  # Debian 12
  llm-stack:registry:
    server: registry.example.com
    repository: team/llm-stack
"""
ISSUE = "Base images: newer digests"


def pin(
    world: World, root: Path, *arguments: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    (world.home / "answers").write_text(json.dumps(world.answers))
    return subprocess.run(
        [sys.executable, SCRIPTS / "images" / "pin_base_images.py", *arguments],
        cwd=root,
        env={**os.environ, **world.environment},
        capture_output=True,
        text=True,
        check=check,
    )


def base_images(root: Path, stack: str = "prod") -> dict[str, str]:
    content = yaml.safe_load((root / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    images: dict[str, str] = content["config"]["llm-stack:baseImages"]
    return images


@pytest.fixture
def registries(world: World) -> World:
    """Registries in which every tag has the new digest."""
    world.fake("docker")
    world.answer("imagetools", stdout=f"{NEW}\n")
    return world


def test_base_images_are_pinned_by_the_digests_of_their_tags(
    registries: World, project: ProjectMaker
) -> None:
    root = project(prod=PROD)
    output = pin(registries, root, "prod").stdout
    assert base_images(root) == {key: f"{tag}@{NEW}" for key, tag in TAGS.items()}
    assert output.splitlines()[0] == f"Pulumi.prod.yaml: baseImages.python: {TAGS['python']}@{NEW}"
    assert pin(registries, root, "prod").stdout == "", "a second run changes nothing"


def test_the_settings_keep_their_comments_and_own_images(
    registries: World, project: ProjectMaker
) -> None:
    root = project(prod=COMMENTED)
    pin(registries, root, "prod")
    mirrored = f"registry.example.com/python:3.11-slim@{NEW}"
    assert base_images(root) == {**{k: f"{t}@{NEW}" for k, t in TAGS.items()}, "python": mirrored}
    text = (root / "Pulumi.prod.yaml").read_text(encoding="utf-8")
    without_digests = text.replace(NEW, OLD).splitlines()
    assert set(COMMENTED.splitlines()) <= set(without_digests)


def test_the_images_workflow_builds_from_the_pinned_base_images(
    registries: World, project: ProjectMaker
) -> None:
    root = project(prod=PROD)
    pin(registries, root, "prod")
    listed = subprocess.run(
        [sys.executable, SCRIPTS / "images" / "published_images.py", "matrix", "prod"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    arguments = {job["image"]: job["arguments"] for job in json.loads(listed)["include"]}
    assert arguments["chat"] == f"BASE_IMAGE={TAGS['python']}@{NEW}"
    assert arguments["monitor"] == f"BASE_IMAGE={TAGS['ubuntu']}@{NEW}"


def test_a_tag_that_no_registry_returns_changes_nothing(
    world: World, project: ProjectMaker
) -> None:
    world.fake("docker")
    world.answer("imagetools", stderr="ERROR: not found", code=1)
    root = project(prod=COMMENTED)
    refused = pin(world, root, "prod", check=False)
    assert refused.returncode == 1
    assert "python:3.11-slim: ERROR: not found" in refused.stderr
    assert (root / "Pulumi.prod.yaml").read_text(encoding="utf-8") == COMMENTED


def test_settings_that_cannot_be_edited_are_an_error(
    registries: World, project: ProjectMaker
) -> None:
    flow = COMMENTED.replace(
        "\n    # From the company's mirror.\n    python:", " {ubuntu:"
    ).replace(f"@{OLD}  # Debian 12", "}")
    root = project(prod=flow)
    refused = pin(registries, root, "prod", check=False)
    assert "has a form that this script cannot edit" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (root / "Pulumi.prod.yaml").read_text(encoding="utf-8") == flow


def test_a_stack_without_a_registry_is_an_error(registries: World, project: ProjectMaker) -> None:
    refused = pin(
        registries, project(prod="config:\n  llm-stack:services: all\n"), "prod", check=False
    )
    assert refused.stderr.startswith("error: Pulumi.prod.yaml: llm-stack:registry: is missing")


@pytest.mark.usefixtures("jq")
@pytest.mark.parametrize(("settings", "is_open"), [(COMMENTED, True), (PROD, False)])
def test_an_issue_is_open_while_a_pinned_base_image_is_old(
    registries: World, project: ProjectMaker, settings: str, is_open: bool
) -> None:
    registries.fake("gh")
    issues = [] if is_open else [{"number": 4, "title": ISSUE}]
    registries.answer("list", stdout=json.dumps(issues))
    root = project(prod=settings)
    output = registries.run("images/report-base-images", cwd=root, STACKS='["prod"]').stdout
    assert (root / "Pulumi.prod.yaml").read_text(encoding="utf-8") == settings
    if is_open:
        (created,) = registries.calls("issue", "create")
        assert created[created.index("--title") + 1] == ISSUE
        assert f"baseImages.python: registry.example.com/python:3.11-slim@{NEW}" in output
    else:
        (closed,) = registries.calls("close")
        assert closed[:4] == ["gh", "issue", "close", "4"], "nothing is pinned"
