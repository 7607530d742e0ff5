"""The preflight check of CPU limits, which some engines do not support."""

from __future__ import annotations

import pulumi
import pytest

from components.engine.info import EngineInfo
from tests.doubles.recording_engine import StackRunner

STACK = {"services": ["chat-interface"], "monitor": {"restarts": False}}


@pytest.mark.parametrize(
    ("info", "allowed"),
    [
        (EngineInfo(limits_cpus=False), "the cgroup controller cpu mounted"),
        (
            EngineInfo(limits_cpus=False, rootless=True),
            "the cgroup controller cpu delegated to the engine's user, see "
            "https://docs.docker.com/engine/security/rootless/tips/#limiting-resources",
        ),
    ],
)
def test_an_engine_without_cpu_limits_is_refused_before_any_resource_exists(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch, info: EngineInfo, allowed: str
) -> None:
    monkeypatch.setattr("components.preflight.checks.ask_engine", lambda host: info)
    with pytest.raises(pulumi.RunError) as refusal:
        run_program(STACK)
    assert str(refusal.value) == (
        "Docker Engine: cgroups: the engine cannot limit processors, and refuses each container "
        f"with such a limit; found CpuCfsQuota false; allowed: {allowed}"
    )


@pytest.mark.parametrize(
    ("services", "cpus", "lines"),
    [
        (["chat-interface", "phi-inference"], 2, []),
        (["chat-interface", "phi-inference", "qwen-inference"], 4, []),
        (
            ["chat-interface", "phi-inference", "qwen-inference"],
            3,
            [
                "the services may use 4 processors together (phi-inference 2, qwen-inference 2), "
                "and the engine's machine has 3: those in use at the same time share them, and are "
                "slower"
            ],
        ),
    ],
)
def test_services_that_share_processors_are_printed(
    run_program: StackRunner,
    monkeypatch: pytest.MonkeyPatch,
    services: list[str],
    cpus: int,
    lines: list[str],
) -> None:
    printed: list[str] = []
    monkeypatch.setattr(
        "components.preflight.checks.ask_engine", lambda host: EngineInfo(cpus=cpus)
    )
    monkeypatch.setattr("components.preflight.cpu_limits.pulumi.log.info", printed.append)
    run_program({"services": services, "monitor": {"socketGroup": 999}})
    assert printed == lines
