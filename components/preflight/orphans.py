"""What a killed update created, and Pulumi's state does not have.

Pulumi writes each creation into the state before it begins, with the name that it has chosen: its
own prefix and a random suffix. So an orphan is found by its exact name. Nothing of another stack or
checkout can have it, and a container that a running update replaces is a resource of the state.

Containers that an update makes without Pulumi, and removes itself, have a label that names the
volume or the container of the state that they are for. They would keep it from being removed.
"""

from __future__ import annotations

from collections.abc import Iterable

import pulumi

from components.engine.lists import EngineObject, Kind
from components.preflight.state import StackState
from components.runtime.docker.kept_secrets import volume_of
from components.runtime.labels import STACK, TEMPORARY

# A network or volume can be removed once no container uses it.
_ORDER = (Kind.SERVICE, Kind.CONTAINER, Kind.NETWORK, Kind.VOLUME)


def handle_orphans(
    stack: str, state: StackState | None, listed: Iterable[EngineObject] | None, host: str | None
) -> None:
    """Remove the orphans of this stack; a preview warns of them only."""
    found = orphans(stack, state, listed or ()) if state else []
    if not found:
        return
    names = ", ".join(f"{one.kind} {one.name}" for one in found)
    pending = state is not None and bool(state.interrupted)
    if pulumi.runtime.is_dry_run():
        pulumi.log.warn(
            f"an interrupted update left what Pulumi's state does not have: {names}; the next "
            "pulumi up removes it, unless an update of this stack is running now"
        )
        return
    # Imported here because it imports Docker's client, see components/engine/client.py.
    from components.engine.removal import remove

    remove(found, host)
    ends = (
        "; Pulumi's warning of pending operations ends with: pulumi refresh --yes "
        "--clear-pending-creates"
    )
    pulumi.log.warn(f"removed what an interrupted update left: {names}{ends if pending else ''}")


def orphans(stack: str, state: StackState, listed: Iterable[EngineObject]) -> list[EngineObject]:
    """What the engine has of interrupted updates, in the order in which it can go."""
    served = {one.name if one.kind is Kind.VOLUME else one.id for one in state.resources}
    served.add(volume_of(stack))
    known = {(one.kind, one.name) for one in state.resources}
    wanted = {(one.kind, one.name) for one in state.interrupted if one.has_random_name} - known
    found = [
        one
        for one in listed
        if (one.labels or {}).get(STACK) == stack
        and ((one.kind, one.name) in wanted or (one.labels or {}).get(TEMPORARY) in served)
    ]
    return sorted(found, key=lambda one: _ORDER.index(one.kind))


def own_containers(
    stack: str, state: StackState | None, listed: Iterable[EngineObject]
) -> frozenset[str]:
    """The names of the containers that an update of this stack may replace or remove.

    Another checkout may have a stack of the same name, so a label counts only without a state.
    """
    if state is None:
        return frozenset(one.name for one in listed if (one.labels or {}).get(STACK) == stack)
    left = [one.name for one in orphans(stack, state, listed) if one.kind is Kind.CONTAINER]
    return frozenset([*left, *(r.name for r in state.resources if r.kind is Kind.CONTAINER)])


def importable_containers(
    stack: str, state: StackState | None, listed: Iterable[EngineObject]
) -> frozenset[str]:
    """The names of containers with the label of this stack, where its state is empty.

    A lost state is made anew by a preview with `--import-file`, which their ports must not refuse.
    """
    if state is None or state.resources or not pulumi.runtime.is_dry_run():
        return frozenset()
    return frozenset(one.name for one in listed if (one.labels or {}).get(STACK) == stack)
