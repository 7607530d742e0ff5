"""The volume in which the gateway records usage."""

from __future__ import annotations

from app.chat.settings import DEFAULT_USAGE
from tests.doubles.recording_engine import StackRunner

STACK = {"services": ["chat-interface", "phi-inference"], "monitor": {"socketGroup": 999}}


def test_the_gateway_has_a_volume_where_it_records_usage(run_program: StackRunner) -> None:
    graph = run_program(STACK, {}, stack="dev")
    container = next(
        one
        for one in graph.resources
        if one.type == "docker:index/container:Container" and one.name == "chat-interface"
    )
    mounts = {
        mount["containerPath"]: mount
        for mount in container.inputs["volumes"]
        if not mount.get("readOnly")
    }
    assert mounts[str(DEFAULT_USAGE.parent)]["volumeName"].startswith("chat-interface-usage")
