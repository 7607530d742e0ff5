"""Versions of a stack's images that have served, kept on the engine by name: the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.engine.client import answer_of, asked
from components.runtime.gate import Gate
from components.config.schema import SettingsError


@dataclass(frozen=True)
class KeptVersionsArgs:
    """The images of this version, and how many earlier versions stay beside it."""

    stack: str
    images: Mapping[str, pulumi.Input[str]]
    keep: int
    docker_host: str | None = None


class KeptVersions(Gate):
    """Names what serves as `llm-stack-<stack>/<image>:served-<moment>`, and lets go of the oldest.

    It depends on everything that must be healthy, so a version that never served is never named. An
    image goes from the engine with its last name, unless a container uses it.
    """

    def __init__(
        self, name: str, args: KeptVersionsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        async def keep(hook: pulumi.ResourceHookArgs) -> None:
            # Not before it is needed: it brings Docker's client along (see components/engine/client.py).
            from components.images.served_versions import keep_version

            serving = (hook.new_inputs or {})["input"]["images"]
            await asked(keep_version, serving, args.stack, args.keep, args.docker_host)

        serving = {"images": dict(args.images), "keep": args.keep}
        super().__init__(name, serving, keep, opts)


def ensure_pins_are_held(pins: Mapping[str, str], docker_host: str | None, source: str) -> None:
    """See that the engine holds each pinned image; raises `SettingsError` where it does not.

    For a stack without registry, which can fetch them from nowhere. Of an engine that cannot be
    reached the provider complains.
    """
    if not pins:
        return
    held = answer_of(docker_host, lambda client: set(client.api.images(quiet=True)))
    if held is None:
        return
    problems = [
        f"{source}: llm-stack:imageDigests.{name}: the engine holds no such image; found "
        f"{image!r}, allowed: an id that `docker image ls --no-trunc` shows, or none: "
        f"pulumi config rm --path llm-stack:imageDigests.{name}"
        for name, image in pins.items()
        if image not in held
    ]
    if problems:
        raise SettingsError(problems)
