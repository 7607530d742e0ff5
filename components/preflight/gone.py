"""What the state has, and someone has removed, stopped or paused by hand.

A stopped or paused container is replaced as well: so it passes its health gate before the update is
done, and a version that is kept for a rollback is one that serves.

A refresh of the whole state at each update would find these too, but takes as long as the update
itself, and needs each API that the stack uses. So their resources have a trigger, which is another
one once they are gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import pulumi

from components.engine.lists import EngineObject, Kind
from components.images.kept_versions import SERVED
from components.preflight.state import (
    KEPT,
    KINDS,
    OWNER,
    STASH,
    VERSIONS,
    KeptImages,
    StackState,
    StateResource,
    WrittenVolume,
)
from components.runtime.docker.kept_secrets import volume_of

# Pulumi replaces a resource for another trigger, but not for its first one.
FIRST = "as declared"
# By the state of a container that does not serve.
HALTED = {"exited": "was stopped", "dead": "was stopped", "paused": "was paused"}
_Key = tuple[str, str]


def repair_gone(
    stack: str, state: StackState | None, listed: Iterable[EngineObject] | None
) -> None:
    """Have what is gone created again by this update, and warn of it.

    To be called before any resource is declared. Where state or engine cannot be read, nothing has
    a trigger, and Pulumi replaces nothing for that.
    """
    if state is None or listed is None:
        return
    listed = tuple(listed)
    missing = gone(state, listed)
    lost = lost_writes(stack, state, listed)
    for warning in warnings(stack, missing, lost):
        pulumi.log.warn(warning)
    triggers = _triggers(state, missing, lost)
    if state.kept and not state.on_swarm:
        names_lost = has_lost_version(stack, state.kept, listed)
        text = _another("its names were removed", state.kept.trigger)
        triggers[STASH, VERSIONS] = text if names_lost else state.kept.trigger or FIRST
    images = {one.resource for one in missing if one.kind is Kind.IMAGE}
    _declare(triggers, images)


def gone(state: StackState, listed: Iterable[EngineObject]) -> dict[StateResource, str]:
    """What happened to each resource of the state that the engine cannot use as it is."""
    listed = tuple(listed)
    there = {(one.kind, one.id or one.name): one for one in listed}
    used_images = {one.image for one in listed if one.kind is Kind.CONTAINER}
    found = {}
    for one in state.resources:
        if one.leaves or (one.kind is Kind.IMAGE and (state.on_swarm or one.id in used_images)):
            continue
        present = there.get((one.kind, one.name if one.kind is Kind.VOLUME else one.id))
        if present is None:
            found[one] = "was removed"
        elif present.status in HALTED and one.served:
            found[one] = HALTED[present.status]
        elif present.status == "running" and one.networks - present.networks:
            found[one] = "was disconnected from a network"
    return found


def lost_writes(
    stack: str, state: StackState, listed: Iterable[EngineObject]
) -> list[WrittenVolume]:
    """What was written to a volume that is gone. As the next one has the same name, nothing else
    would make its gate write again."""
    volumes = {one.name for one in listed if one.kind is Kind.VOLUME}
    return [one for one in state.written if (one.volume or volume_of(stack)) not in volumes]


def has_lost_version(stack: str, kept: KeptImages, listed: Iterable[EngineObject]) -> bool:
    """Whether an image of the version that serves has no name for a rollback any more."""
    images = [one for one in listed if one.kind is Kind.IMAGE]
    ours = [one for one in images if one.name.startswith(f"llm-stack-{stack}/")]
    return not kept.ids <= {one.id for one in ours if f":{SERVED}" in one.name}


def warnings(
    stack: str, missing: Mapping[StateResource, str], lost: Collection[WrittenVolume]
) -> list[str]:
    """One for all of a kind to which the same has happened."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for one, happened in missing.items():
        groups[_noun(one), happened, _repair(one)].append(one.name)
    if any(one.volume is None for one in lost):
        again = "pulumi up writes the generated secrets of Pulumi's state again"
        groups["volume", "was removed", again].append(volume_of(stack))
    return [_warning(*group, names) for group, names in groups.items()]


def _warning(noun: str, happened: str, repair: str, names: list[str]) -> str:
    if len(names) > 1:
        noun, happened = f"{noun}s", happened.replace("was", "were")
        repair = repair.replace(" it ", " them ").replace(" its ", " their ")
    return f"{noun} {', '.join(names)} {happened} outside of Pulumi; {repair}"


def _noun(one: StateResource) -> str:
    """`carrier` as in docs/security.md."""
    return "carrier" if one.is_carrier else str(one.kind)


def _repair(one: StateResource) -> str:
    if one.trigger is None:
        return "run: pulumi up --refresh"
    if one.kind is Kind.IMAGE:
        return "pulumi up builds or pulls it again"
    if one.is_carrier:
        return "pulumi up creates it again, and replaces no service for that"
    if one.kind is Kind.VOLUME:
        rest = "writes its files" if one.has_files else "its data is lost"
        return f"pulumi up creates it again, and {rest}"
    return "pulumi up creates it again"


def _triggers(
    state: StackState, missing: Mapping[StateResource, str], lost: Iterable[WrittenVolume]
) -> dict[_Key, str]:
    triggers = {_key(one): one.trigger or FIRST for one in state.resources if not one.leaves}
    triggers |= {(STASH, one.gate): one.trigger or FIRST for one in state.written}
    for one, happened in missing.items():
        triggers[_key(one)] = _another(f"{one.name} {happened}", one.trigger)
    for write in lost:
        triggers[STASH, write.gate] = _another("its volume was removed", write.trigger)
    return triggers


def _another(text: str, trigger: str | None) -> str:
    """What keeps its name may be removed more than once."""
    return f"{text} again" if trigger == text else text


def _key(one: StateResource) -> _Key:
    return next(type_ for type_, kind in KINDS.items() if kind is one.kind), one.resource


def _declare(triggers: Mapping[_Key, str], missing_images: Collection[str]) -> None:
    def triggered(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        if args.type_ not in KINDS and not (
            args.type_ == STASH and (args.name == VERSIONS or args.name.endswith((OWNER, KEPT)))
        ):
            return None
        options = pulumi.ResourceOptions(
            replacement_trigger=triggers.get((args.type_, args.name), FIRST)
        )
        if KINDS.get(args.type_) is Kind.IMAGE and args.name in missing_images:
            # The provider removes an image by its name, which its successor has too. No container
            # runs without its image, so what is deleted with it beforehand does not serve.
            options.delete_before_replace = True
        return pulumi.ResourceTransformationResult(
            props=args.props, opts=pulumi.ResourceOptions.merge(args.opts, options)
        )

    pulumi.runtime.register_stack_transformation(triggered)
