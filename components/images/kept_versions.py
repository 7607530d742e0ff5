"""Versions of a stack's images that have served, kept on the engine by name: the way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pulumi

from components.config.problems import Problem, Source
from components.engine.client import query, run_blocking
from components.runtime.gate import Gate

# The tag of each image of a version, before the moment at which the version first served.
SERVED = "served-"


@dataclass(frozen=True)
class KeptVersionsArgs:
    """The images of this version, and how many earlier versions stay beside it."""

    stack: str
    images: Mapping[str, pulumi.Input[str]]
    keep: int
    docker_host: str | None = None


class KeptVersions(Gate):
    """Tags what serves as `llm-stack-<stack>/<image>:served-<moment>`, and removes the oldest tags.

    It depends on everything that must be healthy, so a version that never served is never named. An
    image goes from the engine with its last name, unless a container uses it.
    """

    def __init__(
        self, name: str, args: KeptVersionsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        async def keep(hook: pulumi.ResourceHookArgs) -> None:
            # Imported here because it imports Docker's client, see components/engine/client.py.
            from components.images.served_versions import keep_version

            serving = (hook.new_inputs or {})["input"]["images"]
            await run_blocking(keep_version, serving, args.stack, args.keep, args.docker_host)

        serving = {"images": dict(args.images), "keep": args.keep}
        super().__init__(name, serving, keep, opts)


def pin_problems(
    pins: Mapping[str, str], docker_host: str | None, source: Source
) -> Iterator[Problem]:
    """A problem for each pinned image that the engine does not have.

    For a stack without registry, which can pull them from nowhere. An unreachable engine is
    reported by the provider.
    """
    if not pins:
        return
    held = query(docker_host, lambda client: set(client.api.images(quiet=True)))
    if held is None:
        return
    for name, image in pins.items():
        if image not in held:
            yield source.problem(
                ("imageDigests", name),
                "the engine does not have this image",
                found=image,
                allowed="allowed: an id that `docker image ls --no-trunc` shows, or none",
                run=source.remove_command(("imageDigests", name)),
            )
