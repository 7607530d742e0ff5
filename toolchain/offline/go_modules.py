"""Builds Pulumi's programs from Go modules."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolchain import versions
from toolchain.offline.go_language import go_command
from toolchain.project import Project
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import capture, follow
from toolchain.terminal.progress import Step

HOST_PACKAGE = "github.com/pulumi/pulumi/sdk/v3"
HOST_SCRIPT = "python/cmd/pulumi-language-python-exec"
VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
# `go build -v` prints the path of each package that it compiles.
COMPILED = re.compile(r"^[\w.\-/~]+$")
DOWNLOADED = re.compile(r"^go: downloading (\S+)")
# Debug information, which the linker drops, and optimized code of every cloud's client would take
# half of the compile time. Only the packages that each update runs are optimized. Go applies the
# last pattern that matches.
NO_DEBUG_INFORMATION = "-dwarf=false"
NOT_OPTIMIZED = f"-gcflags=all={NO_DEBUG_INFORMATION} -N -l"
OPTIMIZED = (
    "std",
    "github.com/pulumi/...",
    "google.golang.org/grpc/...",
    "google.golang.org/protobuf/...",
)
# Drops gRPC's routing from Google's storage client (cloud.google.com/go/storage, grpc_dp.go), which
# needs 135 packages; buckets still work.
TAGS = "disable_grpc_modules"
# Measured peak memory of one compiler: 1.9 GB.
COMPILER_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Module:
    """A Go module of this project that builds one program."""

    folder: str
    package: str
    program: str
    linker_flags: str = ""


MODULES = (
    Module(
        folder="pulumi-cli",
        package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        program="pulumi",
        linker_flags=f"-X {VERSION_VARIABLE}=v{versions.PULUMI}",
    ),
    Module(
        folder="python-host",
        package=f"{HOST_PACKAGE}/python/cmd/pulumi-language-python",
        program="pulumi-language-python",
    ),
    Module(
        folder="docker-provider",
        package=".",
        program="pulumi-resource-docker",
        linker_flags=f"-X main.version={versions.DOCKER_PLUGIN}",
    ),
)


def programs_folder(project: Project) -> Path:
    """The cache folder for programs of these versions and module files, for all checkouts."""
    content = hashlib.sha256(f"{versions.PULUMI} {versions.DOCKER_PLUGIN}".encode())
    content.update(f"{sys.platform} {platform.machine()}".encode())
    for path in sources(project.modules):
        content.update(f"{path.relative_to(project.modules)}\n".encode())
        content.update(path.read_bytes())
    return project.programs / content.hexdigest()[:16]


def sources(modules: Path) -> list[Path]:
    """Every file that affects the build."""
    return sorted(
        path
        for module in MODULES
        for path in (modules / module.folder).rglob("*")
        if path.suffix in {".go", ".mod", ".sum"}
    )


def build(project: Project, target: Path, step: Step) -> None:
    """Build all programs into `target`; raises `SetupError` with Go's output."""
    go = go_command(project, step)
    environment = go_environment(dict(os.environ))
    for module in MODULES:
        folder = project.modules / module.folder
        step.doing(f"building {module.program} from its Go module")
        flags = [*build_flags(available_bytes()), f"-ldflags=-s -w {module.linker_flags}"]
        follow(
            [go, "build", *flags, "-o", target / module.program, module.package],
            log=project.step_logs / f"build-{module.program}.log",
            env=environment,
            cwd=folder,
            on_line=building_note(module.program, step.note),
        )
    _copy_host_script(go, project, environment, target)


def build_flags(memory_bytes: int | None) -> list[str]:
    """Flags of `go build`, the same for all programs so that they share Go's build cache.

    :param memory_bytes: available memory of this machine; None if unknown.
    """
    flags = ["-v", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-tags={TAGS}", NOT_OPTIMIZED]
    flags += [f"-gcflags={pattern}={NO_DEBUG_INFORMATION}" for pattern in OPTIMIZED]
    if memory_bytes is not None:
        jobs = min(os.cpu_count() or 1, max(1, memory_bytes // COMPILER_BYTES))
        flags.append(f"-p={jobs}")
    return flags


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Memory available without swapping; None on systems without /proc/meminfo."""
    if not meminfo.exists():
        return None
    found = re.search(
        r"^MemAvailable: +(\d+) kB$", meminfo.read_text(encoding="utf-8"), re.MULTILINE
    )
    return int(found[1]) * 1024 if found else None


def go_environment(environ: dict[str, str]) -> dict[str, str]:
    """Environment of a build that depends on the module files only.

    GOGC=off: each compiler runs for about a second; garbage collection would take a fifth of that
    time and save a tenth of the peak memory.
    """
    fixed = {"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    return environ | fixed | {"GOGC": environ.get("GOGC") or "off"}


def building_note(program: str, note: Callable[[str], None]) -> Callable[[str], None]:
    """Return a reader of Go's output that reports the progress to `note`."""
    compiled = downloaded = 0

    def read(line: str) -> None:
        nonlocal compiled, downloaded
        if match := DOWNLOADED.match(line):
            downloaded += 1
            note(f"{program}: {downloaded} modules downloaded, now {match[1]}")
        elif COMPILED.match(line):
            compiled += 1
            note(f"{program}: {compiled} packages compiled, now {line}")

    return read


def _copy_host_script(go: str, project: Project, environment: dict[str, str], target: Path) -> None:
    """Copy the script through which the language host starts Python programs."""
    result = capture(
        [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", HOST_PACKAGE],
        cwd=project.modules / "python-host",
        env=environment,
    )
    script = Path(result.out.strip()) / HOST_SCRIPT
    if not result.ok or not script.is_file():
        raise SetupError(f"{HOST_PACKAGE} does not contain {HOST_SCRIPT}: {result.err}")
    shutil.copyfile(script, target / script.name)
    (target / script.name).chmod(0o755)
