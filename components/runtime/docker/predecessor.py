"""Stops the container that a new one replaces, and starts it again where the new one fails.

For containers that cannot run side by side: two cannot publish one port, and a database refuses a
second one on its files. Pulumi removes the old one only once the new one has passed its gate.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi

from components.engine.client import ANSWER_TIMEOUT, docker_client, run_blocking
from components.runtime.labels import SERVICE, STACK

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container


@dataclass
class Predecessor:
    """The running container of a service, while its successor starts."""

    stack: str
    service: str
    grace: int
    """Seconds between SIGTERM and SIGKILL."""
    own: Collection[str] = ()
    """Names of the stack's containers before the update. Another checkout may have a stack of the
    same name, and so the same labels."""
    docker_host: str | None = None
    _stopped: list[str] = field(default_factory=list)

    def hooks(self, name: str) -> pulumi.ResourceHookBinding:
        """Hooks of the new container's resource."""

        async def stop(_: pulumi.ResourceHookArgs) -> None:
            await self.stop()

        async def failed(args: pulumi.ErrorHookArgs) -> bool:
            if args.failed_operation == "create":
                unfinished = (args.new_inputs or {}).get("name")
                await self.start_again(unfinished if isinstance(unfinished, str) else None)
            return False

        return pulumi.ResourceHookBinding(
            before_create=[pulumi.ResourceHook(f"{name}-stop-predecessor", stop)],
            on_error=[pulumi.ErrorHook(f"{name}-start-predecessor", failed)],
        )

    async def stop(self, successor: str | None = None) -> None:
        """Stop each container of the service that runs, except its successor."""
        await run_blocking(self._stop, successor)

    async def start_again(self, unfinished: str | None = None) -> None:
        """Start again what was stopped, after its successor has failed.

        :param unfinished: the name of a container that was created and could not be started, which
            is in no state.
        """
        await run_blocking(self._start_again, unfinished)

    def _stop(self, successor: str | None) -> None:
        client = docker_client(self.docker_host, ANSWER_TIMEOUT + self.grace)
        try:
            for container in self._containers(client):
                if container.id != successor and container.name in self.own:
                    container.stop(timeout=self.grace)
                    self._stopped.append(str(container.id))
        finally:
            client.close()

    def _containers(self, client: DockerClient) -> list[Container]:
        labels = [f"{STACK}={self.stack}", f"{SERVICE}={self.service}"]
        found: list[Container] = client.containers.list(filters={"label": labels})
        return found

    def _start_again(self, unfinished: str | None) -> None:
        from docker.errors import NotFound

        client = docker_client(self.docker_host)
        try:
            if unfinished:
                with contextlib.suppress(NotFound):
                    client.containers.get(unfinished).remove(force=True, v=True)
            for one in self._stopped:
                container = client.containers.get(one)
                container.start()
                pulumi.log.warn(f"{self.service}: its old container {container.name} serves again")
            self._stopped.clear()
        finally:
            client.close()
