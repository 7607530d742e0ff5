"""One version of each thing, in whatever file it is written."""

from __future__ import annotations

import re
from pathlib import Path

from toolchain import versions

ROOT = Path(__file__).parents[3]
MODULES = ROOT / "toolchain"


def locked(package: str) -> str:
    text = (ROOT / "requirements.lock").read_text()
    match = re.search(rf"^{package}==(\S+)", text, re.MULTILINE)
    assert match, f"{package} is not in requirements.lock"
    return match[1]


def required(module: str, requirement: str) -> str:
    text = (MODULES / module / "go.mod").read_text()
    match = re.search(rf"{re.escape(requirement)} v(\S+)", text)
    assert match, f"{requirement} is not in {module}/go.mod"
    return match[1]


def test_the_cli_has_the_version_of_the_sdk() -> None:
    assert locked("pulumi") == versions.PULUMI
    assert required("pulumi-cli", "github.com/pulumi/pulumi/pkg/v3") == versions.PULUMI


def test_the_docker_plugin_has_the_version_of_its_sdk() -> None:
    assert locked("pulumi-docker") == versions.DOCKER_PLUGIN


def test_the_pinned_go_can_build_every_module() -> None:
    for go_mod in MODULES.glob("*/go.mod"):
        match = re.search(r"^go (\d+)\.(\d+)", go_mod.read_text(), re.MULTILINE)
        assert match
        assert (int(match[1]), int(match[2])) <= versions.GO_MINIMUM, go_mod


def test_the_language_host_finds_what_the_environment_holds() -> None:
    # It runs `python -m pip list` to learn which plugins a program needs.
    assert locked("pip")
