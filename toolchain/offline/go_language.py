"""The Go compiler: the person's own, or the one that Go's module proxy serves."""

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

from toolchain import versions
from toolchain.project import Project
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import ask
from toolchain.terminal.progress import Step

DEFAULT_PROXY = "https://proxy.golang.org"
DOWNLOAD_SECONDS = 60.0


def own_go() -> str | None:
    """The `go` on PATH, where it is new enough by itself."""
    answer = ask(["go", "env", "GOVERSION"], env={**os.environ, "GOTOOLCHAIN": "local"})
    if answer.ok and version_of(answer.out) >= versions.GO_MINIMUM:
        return shutil.which("go")
    return None


def version_of(text: str) -> tuple[int, int]:
    """`go1.26.8` as (1, 26); (0, 0) for what is no version."""
    match = re.match(r"go(\d+)\.(\d+)", text.strip())
    return (int(match[1]), int(match[2])) if match else (0, 0)


def downloaded_go(project: Project) -> Path:
    """Where the downloaded compiler lies, or would."""
    return project.cache / f"go-{versions.GO}"


def go_command(project: Project, step: Step) -> str:
    """A `go` that can build the modules, downloaded where there is none."""
    if found := own_go():
        return found
    folder = downloaded_go(project)
    if not folder.exists():
        step.doing(f"downloading Go {versions.GO} from the module proxy")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            _install(Path(temporary), folder, step)
    return str(folder / "bin" / "go")


def _install(temporary: Path, folder: Path, step: Step) -> None:
    name = _platform()
    module = f"golang.org/toolchain@v0.0.1-go{versions.GO}.{name}"
    archive = temporary / "go.zip"
    url = f"{proxy()}/golang.org/toolchain/@v/{module.partition('@')[2]}.zip"
    try:
        with (
            urllib.request.urlopen(url, timeout=DOWNLOAD_SECONDS) as answer,
            archive.open("wb") as file,
        ):
            shutil.copyfileobj(answer, file)
    except OSError as error:
        raise SetupError(
            f"Go {'.'.join(map(str, versions.GO_MINIMUM))} or newer is needed to build Pulumi from "
            f"its modules. None is on PATH, and {url} cannot be downloaded: {error}"
        ) from error
    step.note("unpacking Go")
    with zipfile.ZipFile(archive) as content:
        found = module_checksum(content)
        if found != versions.GO_CHECKSUMS[name]:
            raise SetupError(f"{url} has the checksum {found}, not {versions.GO_CHECKSUMS[name]}.")
        content.extractall(temporary / "unpacked")
    unpacked = temporary / "unpacked" / module
    # Module archives carry no file modes.
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
    """The first module proxy that GOPROXY names."""
    chosen = os.environ.get("GOPROXY", "") if setting is None else setting
    urls = (entry.strip() for entry in re.split(r"[,|]", chosen))
    return next((url.rstrip("/") for url in urls if "://" in url), DEFAULT_PROXY)


def _platform() -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"{sys.platform}-{machine}"
    if name not in versions.GO_CHECKSUMS:
        raise SetupError(
            f"No Go is pinned for {name}: install Go {'.'.join(map(str, versions.GO_MINIMUM))}."
        )
    return name
