"""Whether `pulumi stack rename` has separated a stack from what it runs."""

from __future__ import annotations

from collections.abc import Iterator

from components.config.problems import Problem
from components.preflight.state import StackState
from components.runtime.labels import STACK


def rename_problems(stack: str, state: StackState | None) -> Iterator[Problem]:
    """A problem where the state has resources of another stack's name.

    The name is in labels, image names and volume names, so an update would replace everything: it
    would delete the monitor's history and the usage of keys, and fetch the models again.
    """
    names = {one.labels.get(STACK, stack) for one in state.resources} if state else set()
    for before in sorted(names - {stack}):
        yield Problem(
            "Pulumi",
            "stack",
            f"was renamed from {before}; an update would replace each container, network and volume"
            ", and lose the monitor's history, the usage of keys and the models",
            found=repr(stack),
            allowed=f"allowed: {before}; for another name restore a backup in a new stack, see "
            "docs/backup.md",
            run=f"pulumi stack rename {before}",
        )
