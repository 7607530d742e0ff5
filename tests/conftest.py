"""Sets the markers of tests, and their group in parallel runs, by their folder."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# The unit tests have no marker.
MARKERS = {
    TESTS / "integration": "integration",
    TESTS / "integration" / "swarm": "swarm",
    TESTS / "web": "web",
}
# Tests of a group run one after another; `./dev test` runs two groups at a time, and unit tests singly.
# Tests on the engine mostly wait for containers, so two of their groups fit two cores.
GROUPS = {
    TESTS / "integration" / "monitor": "engine-1",
    TESTS / "integration" / "prod": "engine-1",
    TESTS / "integration" / "swarm": "engine-1",
    TESTS / "integration": "engine-2",
    TESTS / "web": "web",
}


# First, since pytest deselects tests by their markers in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for folder, marker in MARKERS.items():
            if folder in item.path.parents:
                item.add_marker(marker)
                # Coverage is measured in the unit tests only.
                item.add_marker("no_cover")
        groups = (name for folder, name in GROUPS.items() if folder in item.path.parents)
        if group := next(groups, None):
            item.add_marker(pytest.mark.xdist_group(group))
