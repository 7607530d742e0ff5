"""Problems of maintenance windows: services that the stack does not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components.config.maintenance import MaintenanceWindow
from components.config.problems import Problem, Source, choices


def maintenance_problems(
    windows: Sequence[MaintenanceWindow], enabled: Sequence[str], source: Source
) -> Iterator[Problem]:
    """A window of a service that is not in the stack would have no effect."""
    unknown = {name for window in windows for name in window.services if name not in enabled}
    for name in sorted(unknown):
        # Not by its index, which is another one in the file if a window before it is faulty.
        yield source.problem(
            ("monitor", "maintenance"),
            "has a window of a service that is not in this stack",
            found=name,
            allowed=choices(name, enabled),
        )
