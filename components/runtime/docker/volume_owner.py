"""Gives a volume to the user that a service runs as, before the service's first start."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from components.engine.client import docker_client, run_blocking
from components.runtime.docker.carrier import carrier
from components.runtime.gate import Gate

if TYPE_CHECKING:
    from docker.models.containers import Container

# Of what is in the volume; more is not what an image has filled it with.
MOST_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class VolumeOwnerArgs:
    """The volume, its owner as `uid:gid`, and where which image expects it."""

    stack: str
    volume: pulumi.Input[str]
    owner: str
    image: pulumi.Input[str]
    path: str
    docker_host: str | None = None


class VolumeOwner(Gate):
    """Docker makes a volume root's, or that of the image's own user, whoever the service runs as.

    The owner is set through a container that is created and never started, so no program needs
    root's rights for it. The volume is filled with what the image has at its path, as by Docker.
    """

    volume: pulumi.Output[str]
    """The volume's name, known once it has its owner."""

    def __init__(
        self, name: str, args: VolumeOwnerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        async def give(hook: pulumi.ResourceHookArgs) -> None:
            image = await pulumi.Output.from_input(args.image).future()
            volume = (hook.new_inputs or {})["input"]["volume"]
            await run_blocking(
                set_owner,
                args.stack,
                volume,
                args.owner,
                str(image),
                args.path,
                args.docker_host,
            )

        super().__init__(name, {"volume": args.volume, "owner": args.owner}, give, opts)
        self.volume = self.input.apply(lambda value: str(value["volume"]))


def set_owner(
    stack: str, volume: str, owner: str, image: str, path: str, docker_host: str | None
) -> None:
    """Change the owner of a volume's folder, and of its content as long as that is small."""
    uid, _, gid = owner.partition(":")
    client = docker_client(docker_host)
    try:
        with carrier(client, stack, image, volume, path) as container:
            owned = _with_owner(container, path, int(uid), int(gid or uid))
            if owned is not None:
                container.put_archive(posixpath.dirname(path), owned)
    finally:
        client.close()


def _with_owner(container: Container, path: str, uid: int, gid: int) -> bytes | None:
    """The volume's content as a tar archive with another owner; None if it has that owner."""
    chunks, _ = container.get_archive(path)
    with tarfile.open(fileobj=_Stream(chunks), mode="r|") as source:
        folder = source.next()
        if folder is None or (folder.uid, folder.gid) == (uid, gid):
            return None
        return _archive(source, folder, uid, gid) or _archive(None, folder, uid, gid)


def _archive(
    source: tarfile.TarFile | None, folder: tarfile.TarInfo, uid: int, gid: int
) -> bytes | None:
    """The folder, and what follows it in the source; None where that is too much."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as target:
        member: tarfile.TarInfo | None = folder
        while member is not None:
            if written.tell() + member.size > MOST_BYTES:
                return None
            content = source.extractfile(member) if source and member.isfile() else None
            member.uid, member.gid, member.uname, member.gname = uid, gid, "", ""
            target.addfile(member, content)
            member = source.next() if source else None
    return written.getvalue()


class _Stream(io.RawIOBase):
    """Chunks as a file that can be read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._rest += chunk
        size = len(self._rest) if size < 0 else size
        data, self._rest = self._rest[:size], self._rest[size:]
        return data
