"""The same version in every file that contains it."""

from __future__ import annotations

import re
from pathlib import Path

from toolchain import versions
from toolchain.offline.go_language import GO_MINIMUM

ROOT = Path(__file__).parents[3]
MODULES = ROOT / "toolchain" / "offline"


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


def test_cli_and_sdk_have_the_same_version() -> None:
    assert locked("pulumi") == versions.PULUMI
    assert required("pulumi-cli", "github.com/pulumi/pulumi/pkg/v3") == versions.PULUMI


def test_docker_plugin_and_its_sdk_have_the_same_version() -> None:
    assert locked("pulumi-docker") == versions.DOCKER_PLUGIN


def test_cloudflare_plugin_and_its_sdk_have_the_same_version() -> None:
    assert locked("pulumi-cloudflare") == versions.CLOUDFLARE_PLUGIN


def test_pinned_go_can_build_every_module() -> None:
    go_mods = list(MODULES.glob("*/go.mod"))
    assert go_mods
    for go_mod in go_mods:
        match = re.search(r"^go (\d+)\.(\d+)", go_mod.read_text(), re.MULTILINE)
        assert match
        assert (int(match[1]), int(match[2])) <= GO_MINIMUM, go_mod


def test_language_host_can_list_packages() -> None:
    # It runs `python -m pip list` to find the plugins of a program.
    assert locked("pip")
