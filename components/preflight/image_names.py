"""Names of built images that a prune has removed, while a container keeps the image itself.

The Docker provider finds an image by its name: the next refresh would take it for removed, and the
update after that would build it again and replace each container that runs it.
"""

from __future__ import annotations

from collections.abc import Iterable

import pulumi

from components.engine.lists import EngineObject, Kind
from components.preflight.state import StackState


def restore_image_names(
    state: StackState | None, listed: Iterable[EngineObject] | None, host: str | None
) -> None:
    """Give the images their names again; a preview warns of them only."""
    lost = lost_names(state, listed or ()) if state else {}
    if not lost:
        return
    names = ", ".join(lost)
    if pulumi.runtime.is_dry_run():
        pulumi.log.warn(
            f"images lost their names, as by a prune: {names}; pulumi up names them again"
        )
        return
    # Imported here because it imports Docker's client, see components/engine/client.py.
    from components.engine.client import docker_client

    client = docker_client(host)
    try:
        for name, image in lost.items():
            repository, _, tag = name.rpartition(":")
            client.api.tag(image, repository, tag)
    finally:
        client.close()
    pulumi.log.warn(f"images lost their names, as by a prune, and are named again: {names}")


def lost_names(state: StackState, listed: Iterable[EngineObject]) -> dict[str, str]:
    """The id of each built image that the engine has without its name, by that name."""
    images = [one for one in listed if one.kind is Kind.IMAGE]
    ids, names = {one.id for one in images}, {one.name for one in images}
    return {
        one.name: one.id
        for one in state.resources
        if one.kind is Kind.IMAGE
        and "build" in one.inputs
        and not one.leaves
        and one.id in ids
        and one.name not in names
    }
