"""The stack's outputs, and one wait for all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import pulumi


def export(outputs: Mapping[str, pulumi.Input[object]]) -> None:
    """Export outputs under their names, and let the program end once all are known.

    At the end of a program the SDK waits for any output of any resource, then for any of the rest,
    and so on (pulumi/runtime/stack.py, `wait_for_rpcs`): its time grows with the square of the
    number of resources. After a wait for what depends on nearly all of them there is little left.
    """
    for name, value in outputs.items():
        pulumi.export(name, value)

    async def known() -> None:
        # What fails is told by the SDK, which waits for the very same outputs.
        with contextlib.suppress(Exception):
            await pulumi.Output.all(**outputs).future()

    pulumi.run(known)
