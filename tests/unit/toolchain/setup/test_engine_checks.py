"""What is said about an engine, from what `docker info` prints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from toolchain.setup import engine_checks
from toolchain.setup.engine_checks import (
    Check,
    Verdict,
    architecture,
    ask_engine,
    image_store,
    limits,
    major_version,
    selinux,
    user_namespaces,
    version,
)
from toolchain.terminal.processes import Answer

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


def test_a_good_engine_gets_no_advice() -> None:
    checks = [image_store(GOOD), *engine_checks.engine_checks(GOOD, {})]
    assert [(check.title, check.what) for check in checks] == [
        ("Image store", "the classic one (overlay2)"),
        ("Engine version", "28.5.2"),
        ("SELinux", "the engine does not use it"),
        ("User namespaces", "not used"),
        ("Resource limits", "processors and memory"),
        ("Architecture", "x86_64"),
    ]
    assert {check.verdict for check in checks} == {Verdict.OK}


@pytest.mark.parametrize(
    ("change", "way"),
    [
        (
            {},
            'put {"features": {"containerd-snapshotter": false}} into /etc/docker/daemon.json (merge '
            "it into what is there), then run: systemctl restart docker",
        ),
        (
            ROOTLESS,
            'put {"features": {"containerd-snapshotter": false}} into ~/.config/docker/daemon.json '
            "(merge it into what is there), then run: systemctl --user restart docker",
        ),
        (DESKTOP, "turn off: Settings, General, Use containerd for pulling and storing images"),
    ],
)
def test_containerds_image_store_is_a_problem(change: dict[str, Any], way: str) -> None:
    assert image_store(engine(CONTAINERD, change)) == Check(
        "Image store",
        Verdict.PROBLEM,
        "containerd's, in which Pulumi's Docker provider cannot build images (pulumi-docker#967); "
        f"{way}. Images and containers of the present store are not visible after that: stop them "
        "first",
    )


def test_an_engine_before_28_is_warned_of() -> None:
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
def test_others_are_not(change: dict[str, Any]) -> None:
    assert version(engine(change)) == Check("Engine version", Verdict.OK, change["ServerVersion"])


@pytest.mark.parametrize(
    ("text", "major"), [("20.10.24+dfsg1", 20), ("v29.0.1", 29), ("", None), ("library", None)]
)
def test_the_major_version(text: str, major: int | None) -> None:
    assert major_version(text) == major


def test_selinux_needs_nothing_from_a_person() -> None:
    check = selinux(engine({"SecurityOptions": ["name=selinux"]}))
    assert check.verdict is Verdict.OK
    assert check.what == "the engine uses it; the restarter alone runs with label=disable"


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
            "rootless engine, by a context of Docker's client, which Pulumi does not read; run: "
            "export DOCKER_HOST=unix:///run/user/1000/docker.sock",
        ),
        (
            {"SecurityOptions": ["name=userns"]},
            {},
            Verdict.OK,
            "userns-remap; the restarter alone keeps the machine's user ids",
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
        ({"CpuCfsQuota": False}, Verdict.PROBLEM, "refuses containers that ask for it; enable the"),
        ({"CpuCfsQuota": False, **ROOTLESS}, Verdict.PROBLEM, "delegate the cgroup controllers"),
        ({"MemoryLimit": False}, Verdict.WARNING, "limits on memory do not hold"),
        ({"SwapLimit": False}, Verdict.WARNING, "limits on memory do not cover swap"),
    ],
)
def test_limits_that_do_not_hold(change: dict[str, Any], verdict: Verdict, words: str) -> None:
    check = limits(engine(change))
    assert check.verdict is verdict
    assert words in check.what


def test_an_architecture_that_nobody_has_tried() -> None:
    assert architecture(engine({"Architecture": "aarch64"})).verdict is Verdict.OK
    assert architecture(engine({"Architecture": "riscv64"})).verdict is Verdict.WARNING


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Answer(0, json.dumps(GOOD), ""), GOOD),
        (Answer(1, '{"ServerErrors": ["Cannot connect"], "ServerVersion": ""}', ""), None),
        (Answer(127, "", "no docker"), None),
        (Answer(0, "[]", ""), None),
    ],
)
def test_an_engine_that_does_not_answer_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, found: dict[str, Any] | None
) -> None:
    monkeypatch.setattr(engine_checks, "ask", lambda *_, **__: answer)
    assert ask_engine() == found
