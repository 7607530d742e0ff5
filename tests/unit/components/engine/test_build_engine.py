"""The preflight check of the image store that builds need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components.engine.build_engine import image_store_problems
from components.engine.info import EngineInfo
from tests.doubles.recording_engine import StackRunner

NEWEST = EngineInfo(version="29.0.1", containerd_images=True)
STACK = {"services": ["chat-interface"], "monitor": {"socketGroup": 999}}
PIN = "sha256:" + "a" * 64


def test_a_stack_with_builds_is_refused_before_any_resource_exists(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.preflight.checks.ask_engine", lambda host: NEWEST)
    with pytest.raises(pulumi.RunError) as refusal:
        run_program(STACK)
    assert str(refusal.value) == (
        "/etc/docker/daemon.json: features.containerd-snapshotter: the Docker provider cannot build "
        "images in the containerd image store; found io.containerd.snapshotter.v1 in Docker 29.0.1; "
        'allowed: false; put {"features": {"containerd-snapshotter": false}} into that file on the '
        "engine's machine (merge it into what is there), run: systemctl restart docker. Images and "
        "containers of the present store are not visible after that: stop the stacks on this engine "
        "first, and run pulumi up --refresh afterwards. To build nothing here, name the images of a "
        "registry in llm-stack:imageDigests (carrier, chat, monitor, restarter)"
    )


def test_a_stack_without_builds_is_accepted(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.preflight.checks.ask_engine", lambda host: NEWEST)
    monkeypatch.setattr("components.preflight.checks.pin_problems", lambda *_: ())
    pins = dict.fromkeys(("carrier", "chat", "monitor", "restarter"), PIN)
    assert "chat-interface" in run_program({**STACK, "imageDigests": pins}).running


@pytest.mark.parametrize("info", [None, EngineInfo(version="29.0.1")])
def test_a_classic_or_unreachable_engine_is_accepted(
    info: EngineInfo | None,
) -> None:
    assert not [*image_store_problems({"chat"}, info)]


@pytest.mark.parametrize(
    ("kind", "beginning", "way"),
    [
        (
            {"rootless": True},
            "~/.config/docker/daemon.json: features",
            "run: systemctl --user restart docker",
        ),
        (
            {"desktop": True},
            "Docker Desktop: features",
            "turn off: Settings, General, Use containerd",
        ),
    ],
)
def test_the_instructions_match_the_kind_of_engine(
    kind: dict[str, Any], beginning: str, way: str
) -> None:
    (problem,) = image_store_problems({"chat"}, replace(NEWEST, **kind))
    assert str(problem).startswith(beginning)
    assert way in str(problem)
