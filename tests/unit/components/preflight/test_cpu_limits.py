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
