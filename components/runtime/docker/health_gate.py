"""A gate that opens when a container is healthy, else fails with the end of its log."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.engine.client import run_blocking
from components.runtime.docker.predecessor import Predecessor
from components.runtime.docker.process_limit import limit_processes
from components.runtime.gate import Gate


@dataclass(frozen=True)
class HealthGateArgs:
    """The container, how many seconds to wait, and the engine (None: that of DOCKER_HOST)."""

    container_id: pulumi.Input[str]
    timeout: int
    docker_host: str | None = None
    is_job: bool = False
    """Whether its program is to end, with exit code 0."""
    question: str | None = None
    """Without a health check in the image: the URL to ask, with `{address}` for its address."""
    asking_image: pulumi.Input[str] | None = None
    """An image with Python, from which to ask."""
    process_limit: int | None = None
    """None leaves it without one."""
    predecessor: Predecessor | None = None
    """What serves again where the container does not become healthy."""


class HealthGate(Gate):
    """Waits for a new container before what depends on it, or removes its predecessor, goes on.

    The provider's own wait covers creation only, lasts its whole time for a container that has
    exited, and does not report the reason. Here the wait belongs to a value that enters the state
    only once the container was healthy: what failed is checked again by the next update.
    """

    container_id: pulumi.Output[str]
    """Known once the container is healthy."""

    def __init__(
        self, name: str, args: HealthGateArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        # Log lines of a resource are shown once it has an identity, which this one gets at the end.
        reporter = opts.parent if opts else None

        async def wait(hook: pulumi.ResourceHookArgs) -> None:
            # Imported here because it imports Docker's client, see components/engine/client.py.
            from components.runtime.docker.health import Expected, NotHealthy, wait_until_healthy

            container = (hook.new_inputs or {})["input"]
            if args.process_limit is not None:
                await run_blocking(limit_processes, container, args.process_limit, args.docker_host)
            image = await pulumi.Output.from_input(args.asking_image).future()
            expected = Expected(args.is_job, args.question, image)
            waiting = (container, args.timeout, args.docker_host, reporter, expected)
            if args.predecessor is None:
                await wait_until_healthy(*waiting)
                return
            # Another try after a failed update: the predecessor serves.
            await args.predecessor.stop(successor=container)
            try:
                await wait_until_healthy(*waiting)
            except NotHealthy:
                await args.predecessor.start_again()
                raise

        super().__init__(name, args.container_id, wait, opts)
        self.container_id = self.input
