"""Resources of existing stacks keep their URNs and inputs after the move of the modules.

resources_before.json was written by the program of commit 64cab20. A change that is meant changes
the file with it; a change that is not would replace containers, volumes or tunnels of its users.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.doubles.recording_engine import StackRunner
from tests.unit.components.stacks_before import CASES, description

BEFORE = json.loads(Path(__file__).with_name("resources_before.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_the_resources_are_unchanged(run_program: StackRunner, name: str) -> None:
    case = CASES[name]
    graph = run_program(case.config, case.secrets, stack=name)
    now = description(graph.resources)
    assert now.keys() == BEFORE[name].keys()
    for urn, resource in now.items():
        assert resource == BEFORE[name][urn], urn
