"""The Go compiler: the one on PATH, or a download from Go's module proxy."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterable
from pathlib import Path

from toolchain.project import Project
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import capture
from toolchain.terminal.progress import Step

GO = "1.26.8"
GO_MINIMUM = (1, 26)
# Checksums of golang.org/toolchain v0.0.1-go1.26.8.<platform>, from sum.golang.org.
GO_CHECKSUMS = {
    "linux-amd64": "h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=",
    "linux-arm64": "h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc=",
    "darwin-amd64": "h1:7/9KPPN8PckcA9s91hm2jmQMhzW4KyTJXHIs45L0C9M=",
    "darwin-arm64": "h1:dFjGhY6f8DTsY8/rLchUTDRRfjJP4pCrGCwxvHFT2Fg=",
}
DEFAULT_PROXY = "https://proxy.golang.org"
DOWNLOAD_SECONDS = 60.0


def go_on_path() -> str | None:
    """The `go` on PATH, if its own version is new enough."""
    result = capture(["go", "env", "GOVERSION"], env={**os.environ, "GOTOOLCHAIN": "local"})
    if result.ok and version_of(result.out) >= GO_MINIMUM:
        return shutil.which("go")
    return None


def version_of(text: str) -> tuple[int, int]:
    """`go1.26.8` as (1, 26); (0, 0) if the text is not a version."""
    match = re.match(r"go(\d+)\.(\d+)", text.strip())
    return (int(match[1]), int(match[2])) if match else (0, 0)


def downloaded_go(project: Project) -> Path:
    """The folder of the downloaded compiler; it may not exist."""
    return project.cache / f"go-{GO}"


def go_command(project: Project, step: Step) -> str:
    """A `go` that can build the modules, downloaded if necessary; raises `SetupError`."""
    if found := go_on_path():
        return found
    folder = downloaded_go(project)
    if not folder.exists():
        step.doing(f"downloading Go {GO} from the module proxy")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            _install(Path(temporary), folder, step)
    return str(folder / "bin" / "go")


def _install(temporary: Path, folder: Path, step: Step) -> None:
    name = _platform()
    module = f"golang.org/toolchain@v0.0.1-go{GO}.{name}"
    archive = temporary / "go.zip"
    url = f"{proxy()}/golang.org/toolchain/@v/{module.partition('@')[2]}.zip"
    try:
        with (
            urllib.request.urlopen(url, timeout=DOWNLOAD_SECONDS) as response,
            archive.open("wb") as file,
        ):
            shutil.copyfileobj(response, file)
    except OSError as error:
        raise SetupError(
            f"Go {'.'.join(map(str, GO_MINIMUM))} or newer is needed to build Pulumi from "
            f"its modules. It is not on PATH, and {url} cannot be downloaded: {error}"
        ) from error
    step.note("unpacking Go")
    with zipfile.ZipFile(archive) as content:
        found = module_checksum(content)
        if found != GO_CHECKSUMS[name]:
            raise SetupError(f"{url} has the checksum {found}, not {GO_CHECKSUMS[name]}.")
        content.extractall(temporary / "unpacked")
    unpacked = temporary / "unpacked" / module
    # Module archives do not contain file modes.
    for program in _programs(unpacked):
        program.chmod(0o755)
    unpacked.rename(folder)


def _programs(go: Path) -> Iterable[Path]:
    yield from (go / "bin").iterdir()
    yield from (path for path in (go / "pkg" / "tool").rglob("*") if path.is_file())


def module_checksum(content: zipfile.ZipFile) -> str:
    """Go's `h1:` checksum of a module archive (golang.org/x/mod/sumdb/dirhash, Hash1)."""
    summary = hashlib.sha256()
    for name in sorted(content.namelist()):
        summary.update(f"{hashlib.sha256(content.read(name)).hexdigest()}  {name}\n".encode())
    return "h1:" + base64.b64encode(summary.digest()).decode()


def proxy(setting: str | None = None) -> str:
    """The first module proxy in GOPROXY."""
    chosen = os.environ.get("GOPROXY", "") if setting is None else setting
    urls = (entry.strip() for entry in re.split(r"[,|]", chosen))
    return next((url.rstrip("/") for url in urls if "://" in url), DEFAULT_PROXY)


def _platform() -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"{sys.platform}-{machine}"
    if name not in GO_CHECKSUMS:
        raise SetupError(
            f"No Go release is pinned for {name}: install Go {'.'.join(map(str, GO_MINIMUM))}."
        )
    return name
