"""The owner of a volume: set through a container that is never started."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from components.runtime.docker import volume_owner
from components.runtime.docker.volume_owner import set_owner

PATH = "/var/lib/data"


def archive(uid: int, files: dict[str, bytes]) -> bytes:
    """What the engine returns for a volume's folder: the folder first, then what is in it."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as target:
        folder = tarfile.TarInfo("data")
        folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o750, uid, uid
        target.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(f"data/{name}")
            member.size, member.mode, member.uid, member.gid = len(content), 0o640, uid, uid
            member.uname, member.gname = "root", "root"
            target.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("data/link")
        link.type, link.linkname, link.uid, link.gid = tarfile.SYMTYPE, "one", uid, uid
        target.addfile(link)
    return written.getvalue()


class Engine:
    """A double of Docker's client and of the one container that it creates."""

    def __init__(self, content: bytes) -> None:
        self.containers = self
        self.content = content
        self.created: list[tuple[str, dict[str, Any]]] = []
        self.written: list[tuple[str, bytes]] = []
        self.removed = 0
        self.closed = False

    def create(self, image: str, **options: Any) -> Engine:
        self.created.append((image, options))
        return self

    def get_archive(self, path: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        assert path == PATH
        chunks = (self.content[at : at + 700] for at in range(0, len(self.content), 700))
        return chunks, {"name": "data"}

    def put_archive(self, folder: str, content: bytes) -> bool:
        self.written.append((folder, content))
        return True

    def remove(self, *, v: bool, force: bool) -> None:
        assert v, "so that volumes without a name go"
        self.removed += 1

    def close(self) -> None:
        self.closed = True


def owned(monkeypatch: pytest.MonkeyPatch, engine: Engine, owner: str = "999:998") -> None:
    monkeypatch.setattr(volume_owner, "docker_client", lambda host: engine)
    set_owner("test", "test-data", owner, "postgres@sha256:0", PATH, None)


def members(engine: Engine) -> dict[str, tarfile.TarInfo]:
    ((folder, content),) = engine.written
    assert folder == "/var/lib", "the archive begins with the folder itself"
    with tarfile.open(fileobj=io.BytesIO(content)) as written:
        return {member.name: member for member in written.getmembers()}


def test_the_folder_and_what_is_in_it_get_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(archive(0, {"one": b"1", "two": b"2" * 5000}))
    owned(monkeypatch, engine)
    found = members(engine)
    assert found.keys() == {"data", "data/one", "data/two", "data/link"}
    for member in found.values():
        assert (member.uid, member.gid) == (999, 998), member.name
        assert (member.uname, member.gname) == ("", ""), "names would be those of the engine"
    assert found["data"].mode == 0o750
    assert found["data/one"].mode == 0o640
    assert found["data/link"].linkname == "one"


def test_the_content_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"one": b"1", "empty": b"", "two": b"2" * 5000}
    engine = Engine(archive(0, files))
    owned(monkeypatch, engine)
    ((_, content),) = engine.written
    with tarfile.open(fileobj=io.BytesIO(content)) as written:
        for name, expected in files.items():
            file = written.extractfile(f"data/{name}")
            assert file is not None
            assert file.read() == expected, name


def test_an_owner_without_a_group_has_the_group_of_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine(archive(0, {}))
    owned(monkeypatch, engine, "999")
    assert (members(engine)["data"].uid, members(engine)["data"].gid) == (999, 999)


def test_nothing_is_written_where_the_owner_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(archive(999, {"one": b"1"}))
    owned(monkeypatch, engine, "999:999")
    assert engine.written == []
    assert engine.removed == 1


def test_of_a_large_volume_the_folder_alone_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_owner, "MOST_BYTES", 10_000)
    engine = Engine(archive(0, {"one": b"1" * 6000, "two": b"2" * 6000}))
    owned(monkeypatch, engine)
    found = members(engine)
    assert found.keys() == {"data"}
    assert (found["data"].uid, found["data"].gid) == (999, 998)


def test_the_container_never_runs_and_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(archive(0, {}))
    owned(monkeypatch, engine)
    ((image, options),) = engine.created
    assert image == "postgres@sha256:0"
    assert options["network_mode"] == "none"
    assert options["labels"] == {"llm-stack.stack": "test", "llm-stack.temporary": "test-data"}
    assert options["volumes"] == {"test-data": {"bind": PATH, "mode": "rw"}}
    assert options["command"], "an image without a command has none to create it with"
    assert (engine.removed, engine.closed) == (1, True)


def test_the_container_goes_when_the_engine_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(archive(0, {}))

    def fail(folder: str, content: bytes) -> bool:
        raise OSError("no space left on device")

    monkeypatch.setattr(engine, "put_archive", fail)
    with pytest.raises(OSError, match="no space left"):
        owned(monkeypatch, engine)
    assert (engine.removed, engine.closed) == (1, True)
