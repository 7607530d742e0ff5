"""Generated secrets in a volume that outlives the stack, as the data that they protect does.

A database keeps the password that it was made with. After `pulumi destroy` the state, which had
that password, is gone, and the volume with the data is not.
"""

from __future__ import annotations

import io
import tarfile

import pulumi

from components.engine.client import docker_client, run_blocking
from components.runtime.docker.carrier import carrier
from components.runtime.gate import Gate
from components.runtime.labels import STACK

FOLDER = "/secrets"


def volume_of(stack: str) -> str:
    """The name of the volume."""
    return f"{stack}-generated-secrets"


def remembered_secret(
    name: str, stack: str, carrier_image: pulumi.Input[str], docker_host: str | None
) -> pulumi.Output[str | None]:
    """The secret that an earlier life of the stack has left; None where there is none.

    In a preview None: the value in the state counts, and a new stack has none yet.
    """

    async def read() -> str | None:
        if pulumi.runtime.is_dry_run():
            return None
        image = await pulumi.Output.from_input(carrier_image).future()
        return await run_blocking(recall, name, stack, str(image), docker_host)

    return pulumi.Output.secret(pulumi.Output.from_input(read()))


class KeptSecret(Gate):
    """Writes a generated secret to the volume when it enters the state."""

    def __init__(
        self,
        name: str,
        value: pulumi.Output[str],
        stack: str,
        carrier_image: pulumi.Input[str],
        docker_host: str | None,
        opts: pulumi.ResourceOptions,
    ) -> None:
        async def write(hook: pulumi.ResourceHookArgs) -> None:
            image = await pulumi.Output.from_input(carrier_image).future()
            text = await value.future()
            await run_blocking(keep, name, str(text), stack, str(image), docker_host)

        super().__init__(f"{name}-kept", value, write, opts)


def recall(name: str, stack: str, image: str, docker_host: str | None) -> str | None:
    """The secret in the volume; None where there is no volume, or no such secret in it."""
    from docker.errors import NotFound

    client = docker_client(docker_host)
    try:
        try:
            client.volumes.get(volume_of(stack))
        except NotFound:
            return None
        with carrier(client, stack, image, volume_of(stack), FOLDER) as container:
            try:
                chunks, _ = container.get_archive(f"{FOLDER}/{name}")
            except NotFound:
                return None
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                member = archive.extractfile(name)
                return member.read().decode() if member else None
    finally:
        client.close()


def keep(name: str, value: str, stack: str, image: str, docker_host: str | None) -> None:
    """Write the secret to the volume, which only root of the engine's machine can read."""
    client = docker_client(docker_host)
    try:
        client.volumes.create(volume_of(stack), labels={STACK: stack})
        with carrier(client, stack, image, volume_of(stack), FOLDER) as container:
            container.put_archive(FOLDER, _archive(name, value))
    finally:
        client.close()


def _archive(name: str, value: str) -> bytes:
    content = value.encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o400
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()
