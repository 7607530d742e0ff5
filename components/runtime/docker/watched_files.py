"""Files that change while the containers that read them run, in a volume that stays the same."""

from __future__ import annotations

import asyncio
import io
import posixpath
import tarfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pulumi
import pulumi_docker as docker

from components.engine.client import docker_client, run_blocking
from components.runtime.container import Mount
from components.runtime.container_options import USER
from components.runtime.docker.carrier import carrier
from components.runtime.gate import Gate
from components.runtime.labels import contents_label, service_label, stack_label
from components.runtime.orchestrator import WatchedFilesArgs

if TYPE_CHECKING:
    from docker.models.containers import Container

# Seconds after a change. Programs read their files each second (app/shared/watched_file.py): what
# Pulumi removes after the change, none of them uses any more.
READ_WITHIN = 2.0


class WatchedFiles(pulumi.ComponentResource):
    """A volume whose files are written when their content changes, and never with a container.

    They are written through a container that is created and never started. That is not one step:
    a program may find a file incomplete for a moment, and has to check what it reads.
    """

    mounts: Sequence[Mount]
    written: pulumi.Resource

    def __init__(
        self,
        name: str,
        args: WatchedFilesArgs,
        carrier_image: pulumi.Input[str],
        docker_host: str | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("llm-stack:index:WatchedFiles", name, None, opts)
        mine = pulumi.ResourceOptions(parent=self)
        labels = [stack_label(args.stack), service_label(args.service)]
        if args.identity is not None:
            labels.append(contents_label(args.identity))
        volume = docker.Volume(
            f"{name}-volume",
            labels=[docker.VolumeLabelArgs(**label) for label in labels],
            opts=mine,
        )
        files = pulumi.Output.from_input(dict(args.files))
        files = pulumi.Output.secret(files) if args.secret else files

        async def write(hook: pulumi.ResourceHookArgs) -> None:
            place = pulumi.Output.all(volume.name, carrier_image, files)
            volume_name, image, contents = await place.future() or ("", "", {})
            await run_blocking(
                write_files,
                args.stack,
                str(volume_name),
                str(image),
                args.directory,
                contents,
                0o400 if args.secret else 0o444,
                docker_host,
            )
            if hook.old_inputs:
                await asyncio.sleep(READ_WITHIN)

        self.written = Gate(name, {"volume": volume.name, "files": files}, write, mine)
        self.mounts = [Mount(volume=volume.name, path=args.directory)]
        self.register_outputs({})


def write_files(
    stack: str,
    volume: str,
    image: str,
    directory: str,
    files: Mapping[str, str],
    mode: int,
    docker_host: str | None,
) -> None:
    """Write the files, and empty those that are no longer among them.

    Without a program in it, no container can remove a file.
    """
    client = docker_client(docker_host)
    try:
        with carrier(client, stack, image, volume, directory) as container:
            gone = dict.fromkeys(_names(container, directory) - files.keys(), "")
            container.put_archive(directory, _archive({**files, **gone}, mode))
    finally:
        client.close()


def _names(container: Container, directory: str) -> set[str]:
    """The files in the volume."""
    chunks, _ = container.get_archive(directory)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        return {posixpath.basename(one.name) for one in archive.getmembers() if one.isfile()}


def _archive(files: Mapping[str, str], mode: int) -> bytes:
    uid, gid = (int(number) for number in USER.split(":"))
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, text in sorted(files.items()):
            content = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.gid = len(content), mode, uid, gid
            archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()
