"""Containers, networks and volumes of the state that someone has removed, or stopped, by hand.

A stopped container is replaced as well: so it passes its health gate before the update is done.

A refresh of the whole state at each update would find these too, but takes as long as the update
itself, and needs each API that the stack uses. So their resources have a trigger, which is another
one once they are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pulumi

from components.engine.lists import EngineObject, Kind
from components.preflight.state import KINDS, StackState, StateResource

# Pulumi replaces a resource for another trigger, but not for its first one.
FIRST = "as declared"
STOPPED = ("exited", "dead")


def repair_gone(state: StackState | None, listed: Iterable[EngineObject] | None) -> None:
    """Have what is gone created again by this update, and warn of it.

    To be called before any resource is declared. Where state or engine cannot be read, nothing has
    a trigger, and Pulumi replaces nothing for that.
    """
    if state is None or listed is None:
        return
    missing = gone(state, listed)
    for one, happened in missing.items():
        pulumi.log.warn(_warning(one, happened))
    triggers = {_key(one): one.trigger or FIRST for one in state.resources if not one.leaves}
    triggers |= {_key(one): f"{one.name} {happened}" for one, happened in missing.items()}
    _declare(triggers)


def gone(state: StackState, listed: Iterable[EngineObject]) -> dict[StateResource, str]:
    """What happened to each resource of the state that the engine cannot use as it is."""
    there = {(one.kind, one.id or one.name): one for one in listed}
    found = {}
    for one in state.resources:
        if one.leaves:
            continue
        present = there.get((one.kind, one.name if one.kind is Kind.VOLUME else one.id))
        if present is None:
            found[one] = "was removed"
        elif present.status in STOPPED and one.served:
            found[one] = "was stopped"
    return found


def _warning(one: StateResource, happened: str) -> str:
    what = f"{one.kind} {one.name} {happened} outside of Pulumi"
    if one.trigger is None:
        return f"{what}; run: pulumi up --refresh"
    lost = ", without what it held" if one.kind is Kind.VOLUME else ""
    return f"{what}; pulumi up creates it again{lost}"


def _key(one: StateResource) -> tuple[str, str]:
    return next(type_ for type_, kind in KINDS.items() if kind is one.kind), one.resource


def _declare(triggers: Mapping[tuple[str, str], str]) -> None:
    def triggered(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        if args.type_ not in KINDS:
            return None
        trigger = triggers.get((args.type_, args.name), FIRST)
        options = pulumi.ResourceOptions(replacement_trigger=trigger)
        return pulumi.ResourceTransformationResult(
            props=args.props, opts=pulumi.ResourceOptions.merge(args.opts, options)
        )

    pulumi.runtime.register_stack_transformation(triggered)
