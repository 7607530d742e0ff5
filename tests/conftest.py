"""Sets the markers of tests by their folder."""

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


# First, since pytest deselects tests by their markers in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for folder, marker in MARKERS.items():
            if folder in item.path.parents:
                item.add_marker(marker)
                # Coverage is measured in the unit tests only.
                item.add_marker("no_cover")
