"""The official release: its archive, its pinned digest, its programs."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from pathlib import Path

import pytest

from toolchain import versions
from toolchain.setup import official_release
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Step


@pytest.mark.parametrize(
    ("system", "machine", "ending"),
    [
        ("linux", "x86_64", "linux-x64"),
        ("linux", "aarch64", "linux-arm64"),
        ("darwin", "arm64", "darwin-arm64"),
    ],
)
def test_archive_of_the_platform(system: str, machine: str, ending: str) -> None:
    name = official_release.archive_name(official_release.release_platform(system, machine))
    assert name == f"pulumi-v{versions.PULUMI}-{ending}.tar.gz"


def test_platform_without_a_release_is_an_error() -> None:
    with pytest.raises(SetupError, match="no release for linux on riscv64"):
        official_release.release_platform("linux", "riscv64")


def test_every_platform_has_its_own_digest() -> None:
    digests = list(versions.PULUMI_ARCHIVES.values())
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests)
    assert len(set(digests)) == len(digests) == 4


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of a release, used as the download URL."""
    folder = tmp_path / "release"
    folder.mkdir()
    archive = folder / official_release.archive_name()
    with tarfile.open(archive, "w:gz") as content:
        for program in (*official_release.PROGRAMS, "pulumi-language-go"):
            entry = tarfile.TarInfo(f"pulumi/{program}")
            entry.size = len(program)
            content.addfile(entry, io.BytesIO(program.encode()))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(official_release, "RELEASE", folder.as_uri())
    monkeypatch.setitem(versions.PULUMI_ARCHIVES, official_release.release_platform(), digest)
    return folder


def test_only_used_programs_are_unpacked(release: Path, tmp_path: Path, step: Step) -> None:
    target = tmp_path / "bin"
    target.mkdir()
    official_release.install(target, step)
    assert {path.name for path in target.iterdir()} == set(official_release.PROGRAMS)
    assert all(os.access(path, os.X_OK) for path in target.iterdir())


def test_modified_archive_is_not_unpacked(release: Path, tmp_path: Path, step: Step) -> None:
    with (release / official_release.archive_name()).open("ab") as archive:
        archive.write(b"more")
    target = tmp_path / "bin"
    target.mkdir()
    with pytest.raises(SetupError, match=r"has SHA-256 .* toolchain/versions\.py contains"):
        official_release.install(target, step)
    assert not (target / "pulumi").exists()


def test_failed_download_is_an_error(release: Path, tmp_path: Path, step: Step) -> None:
    (release / official_release.archive_name()).unlink()
    with pytest.raises(SetupError, match="cannot be downloaded"):
        official_release.install(tmp_path, step)
