"""Downloads Pulumi's official release and verifies the SHA-256 that this repository pins."""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from toolchain import versions
from toolchain.stack import reachability
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Step

RELEASE = f"https://github.com/pulumi/pulumi/releases/download/v{versions.PULUMI}"
DOWNLOAD_SECONDS = 30.0
CHUNK = 1 << 20
# The programs of the archive that this project uses: the CLI and its Python language host.
PROGRAMS = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec")


def reachable(probe: reachability.Probe = reachability.is_reachable) -> bool:
    """Whether releases can be downloaded from this machine."""
    return probe(f"{RELEASE}/{archive_name()}")


def release_platform(system: str = sys.platform, machine: str | None = None) -> str:
    """The release's name of a platform; raises `SetupError` if there is none."""
    architecture = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(
        (machine or platform.machine()).lower()
    )
    name = f"{system}-{architecture}"
    if name not in versions.PULUMI_ARCHIVES:
        raise SetupError(f"Pulumi has no release for {system} on {machine or platform.machine()}.")
    return name


def archive_name(release: str | None = None) -> str:
    """The release's archive for a platform, by default this one."""
    return f"pulumi-v{versions.PULUMI}-{release or release_platform()}.tar.gz"


def install(folder: Path, step: Step) -> None:
    """Put the programs of the release into `folder`; raises `SetupError` on a wrong digest."""
    archive = archive_name()
    expected = versions.PULUMI_ARCHIVES[release_platform()]
    step.doing(f"downloading {archive}")
    packed = folder / archive
    found = download(f"{RELEASE}/{archive}", packed, step.note)
    if found != expected:
        raise SetupError(
            f"{archive} has SHA-256 {found}, but toolchain/versions.py contains {expected}."
        )
    with tarfile.open(packed) as content:
        for program in PROGRAMS:
            source = content.extractfile(f"pulumi/{program}")
            if source is None:
                raise SetupError(f"{archive} does not contain {program}.")
            with source, (folder / program).open("wb") as target:
                shutil.copyfileobj(source, target)
            (folder / program).chmod(0o755)
    packed.unlink()


def download(url: str, target: Path, note: Callable[[str], None]) -> str:
    """Download to a file and return its SHA-256."""
    digest, size = hashlib.sha256(), 0
    try:
        with (
            urllib.request.urlopen(url, timeout=DOWNLOAD_SECONDS) as response,
            target.open("wb") as file,
        ):
            while chunk := response.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
                size += len(chunk)
                note(f"{size / 1e6:.0f} MB of {target.name}")
    except OSError as error:
        raise SetupError(f"{url} cannot be downloaded: {error}") from error
    return digest.hexdigest()
