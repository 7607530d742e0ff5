"""The checks of an engine by the output of `docker info`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from toolchain.setup import engine_checks
from toolchain.setup.engine_checks import (
    Check,
    Verdict,
    architecture,
    image_store,
    limits,
    major_version,
    read_engine_info,
    selinux,
    user_namespaces,
    version,
)
from toolchain.terminal.processes import Result

GOOD: dict[str, Any] = {
    "ServerVersion": "28.5.2",
    "OperatingSystem": "Debian GNU/Linux 13 (trixie)",
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
    "CpuCfsQuota": True,
    "MemoryLimit": True,
    "SwapLimit": True,
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
    "Architecture": "x86_64",
}
CONTAINERD = {
    "Driver": "overlayfs",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
}
ROOTLESS = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}
DESKTOP = {"OperatingSystem": "Docker Desktop"}


def engine(*changes: dict[str, Any]) -> dict[str, Any]:
    info = dict(GOOD)
    for change in changes:
        info |= change
    return info


def test_suitable_engine_passes_every_check() -> None:
    checks = [image_store(GOOD), *engine_checks.engine_checks(GOOD, {})]
    assert [(check.title, check.what) for check in checks] == [
        ("Image store", "the classic one (overlay2)"),
        ("Engine version", "28.5.2"),
        ("SELinux", "the engine does not use it"),
        ("User namespaces", "not used"),
        ("Resource limits", "CPU and memory limits are enforced"),
        ("Architecture", "x86_64"),
    ]
    assert {check.verdict for check in checks} == {Verdict.OK}


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        (
            {},
            'put {"features": {"containerd-snapshotter": false}} into /etc/docker/daemon.json (merge '
            "it with existing settings), then run: systemctl restart docker",
        ),
        (
            ROOTLESS,
            'put {"features": {"containerd-snapshotter": false}} into ~/.config/docker/daemon.json '
            "(merge it with existing settings), then run: systemctl --user restart docker",
        ),
        (DESKTOP, "turn off: Settings, General, Use containerd for pulling and storing images"),
    ],
)
def test_containerd_image_store_is_a_problem(change: dict[str, Any], fix: str) -> None:
    assert image_store(engine(CONTAINERD, change)) == Check(
        "Image store",
        Verdict.PROBLEM,
        "containerd's, in which Pulumi's Docker provider cannot build images (pulumi-docker#967); "
        f"{fix}. Images and containers of the present store are not visible after that: stop them "
        "first",
    )


def test_engine_before_28_is_a_warning() -> None:
    check = version(engine({"ServerVersion": "20.10.24+dfsg1"}))
    assert check.verdict is Verdict.WARNING
    assert check.what == (
        "20.10.24+dfsg1 lets other machines of the local network reach ports published on 127.0.0.1, "
        "and addresses of containers (moby#45610); install Docker 28 or newer "
        "(https://docs.docker.com/engine/install/), or add a firewall rule: docs/security.md, Ports"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"ServerVersion": "28.0.0"},
        {"ServerVersion": "29.0.1-rc.1"},
        {"ServerVersion": "dev"},
        {"ServerVersion": "27.5.1", **ROOTLESS},
        {"ServerVersion": "27.5.1", **DESKTOP},
    ],
)
def test_other_engines_pass_the_version_check(change: dict[str, Any]) -> None:
    assert version(engine(change)) == Check("Engine version", Verdict.OK, change["ServerVersion"])


@pytest.mark.parametrize(
    ("text", "major"), [("20.10.24+dfsg1", 20), ("v29.0.1", 29), ("", None), ("library", None)]
)
def test_major_version(text: str, major: int | None) -> None:
    assert major_version(text) == major


def test_selinux_is_ok() -> None:
    check = selinux(engine({"SecurityOptions": ["name=selinux"]}))
    assert check.verdict is Verdict.OK
    assert check.what == "the engine uses it; only the restarter runs with label=disable"


@pytest.mark.parametrize(
    ("change", "environ", "verdict", "what"),
    [
        (
            ROOTLESS,
            {"DOCKER_HOST": "unix:///run/user/1000/docker.sock"},
            Verdict.OK,
            "rootless engine",
        ),
        (
            ROOTLESS,
            {"XDG_RUNTIME_DIR": "/run/user/1000"},
            Verdict.PROBLEM,
            "rootless engine from a Docker context, which Pulumi does not read; run: "
            "export DOCKER_HOST=unix:///run/user/1000/docker.sock",
        ),
        (
            {"SecurityOptions": ["name=userns"]},
            {},
            Verdict.OK,
            "userns-remap; only the restarter uses the host's user ids",
        ),
    ],
)
def test_user_namespaces(
    change: dict[str, Any], environ: dict[str, str], verdict: Verdict, what: str
) -> None:
    assert user_namespaces(engine(change), environ) == Check("User namespaces", verdict, what)


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        (
            {"CpuCfsQuota": False},
            Verdict.PROBLEM,
            "rejects containers with a CPU limit; enable the",
        ),
        ({"CpuCfsQuota": False, **ROOTLESS}, Verdict.PROBLEM, "delegate the cgroup controllers"),
        ({"MemoryLimit": False}, Verdict.WARNING, "memory limits are not enforced"),
        ({"SwapLimit": False}, Verdict.WARNING, "memory limits do not cover swap"),
    ],
)
def test_limits_that_are_not_enforced(change: dict[str, Any], verdict: Verdict, words: str) -> None:
    check = limits(engine(change))
    assert check.verdict is verdict
    assert words in check.what


def test_untested_architecture_is_a_warning() -> None:
    assert architecture(engine({"Architecture": "aarch64"})).verdict is Verdict.OK
    assert architecture(engine({"Architecture": "riscv64"})).verdict is Verdict.WARNING


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (Result(0, json.dumps(GOOD), ""), GOOD),
        (Result(1, '{"ServerErrors": ["Cannot connect"], "ServerVersion": ""}', ""), None),
        (Result(127, "", "no docker"), None),
        (Result(0, "[]", ""), None),
    ],
)
def test_engine_that_does_not_respond_has_no_info(
    monkeypatch: pytest.MonkeyPatch, result: Result, found: dict[str, Any] | None
) -> None:
    monkeypatch.setattr(engine_checks, "capture", lambda *_, **__: result)
    assert read_engine_info() == found
