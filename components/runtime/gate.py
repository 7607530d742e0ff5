"""A gate in an update: a value that may enter the state only after something has been done."""

from __future__ import annotations

from typing import Any

import pulumi


class Gate(pulumi.Stash):
    """Keeps `value` once `passed` has returned. Where that raises, the update fails, the state
    stays as it was, and the next update tries again; where `value` is kept already, nothing is
    asked.
    """

    def __init__(
        self,
        name: str,
        value: pulumi.Input[Any],
        passed: pulumi.ResourceHookFunction,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        hook = pulumi.ResourceHook(name, passed)
        binding = pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])
        hooked = pulumi.ResourceOptions(hooks=binding)
        super().__init__(name, input=value, opts=pulumi.ResourceOptions.merge(opts, hooked))
