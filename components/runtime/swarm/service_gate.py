"""A gate that opens when a Swarm runs a service's new version, else fails with the reason."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.runtime.gate import Gate


@dataclass(frozen=True)
class SwarmGateArgs:
    """Which version of which service to wait for, how many tasks of it, and how many seconds."""

    service_id: pulumi.Input[str]
    version: pulumi.Input[str]
    """Changes with everything that the service runs."""
    replicas: int
    timeout: int
    docker_host: str | None = None
    is_job: bool = False
    """Whether its program is to end, with exit code 0."""


class SwarmGate(Gate):
    """Waits until a Swarm has moved a service to its new version.

    Swarm itself watches the new tasks, and rolls back when one fails. With this gate the update
    fails too, with the reason and the end of the task's log. The value that opens the gate enters
    the state only afterwards, so what failed is checked again by the next update.
    """

    service_id: pulumi.Output[str]
    """Known once the service runs this version."""

    def __init__(
        self, name: str, args: SwarmGateArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        # As in a health gate: this resource has no identity before the end.
        reporter = opts.parent if opts else None

        async def wait(hook: pulumi.ResourceHookArgs) -> None:
            # Imported here because it imports Docker's client, see components/engine/client.py.
            from components.runtime.swarm.convergence import (
                COMPLETE,
                RUNNING,
                wait_until_converged,
            )

            service, _, _ = str((hook.new_inputs or {})["input"]).partition("/")
            await wait_until_converged(
                service,
                args.replicas,
                args.timeout,
                args.docker_host,
                reporter,
                COMPLETE if args.is_job else RUNNING,
            )

        version = pulumi.Output.concat(args.service_id, "/", args.version)
        super().__init__(name, version, wait, opts)
        self.service_id = self.input.apply(lambda value: str(value).partition("/")[0])
