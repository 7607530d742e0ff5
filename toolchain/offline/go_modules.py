"""Builds Pulumi's programs from Go modules, where its releases cannot be downloaded."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolchain import versions
from toolchain.offline.go_language import go_command
from toolchain.project import Project
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import ask, follow
from toolchain.terminal.progress import Step

HOST_PACKAGE = "github.com/pulumi/pulumi/sdk/v3"
HOST_SCRIPT = "python/cmd/pulumi-language-python-exec"
VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
# A package path, as `go build -v` prints one for each package that it compiles.
COMPILED = re.compile(r"^[\w.\-/~]+$")
DOWNLOADED = re.compile(r"^go: downloading (\S+)")
# Half of the compiler's time would go into what these programs rarely run or never need: debug
# information, which the linker drops anyway, and optimized code of the clients of every cloud. Only
# the packages of what each update runs are optimized. Go applies the last pattern that matches.
NO_DEBUG_INFORMATION = "-dwarf=false"
NOT_OPTIMIZED = f"-gcflags=all={NO_DEBUG_INFORMATION} -N -l"
OPTIMIZED = (
    "std",
    "github.com/pulumi/...",
    "google.golang.org/grpc/...",
    "google.golang.org/protobuf/...",
)
# Google's client of its storage then does without gRPC's own routing (cloud.google.com/go/storage,
# grpc_dp.go), which 135 packages exist for; buckets are reached all the same.
TAGS = "disable_grpc_modules"
# Most memory of one compiler, measured: 1.9 GB.
COMPILER_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Module:
    """A module of this project that exists to build one program."""

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


def sources(modules: Path) -> list[Path]:
    """Every file that decides what is built."""
    return sorted(
        path
        for module in MODULES
        for path in (modules / module.folder).rglob("*")
        if path.suffix in {".go", ".mod", ".sum"}
    )


def build(project: Project, target: Path, step: Step) -> None:
    """Build all programs into `target`; raises `SetupError` with what Go said."""
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
    """The flags of `go build`: the same for all programs, which then share what they compile.

    :param memory_bytes: what is free on this machine; None where that is unknown.
    """
    flags = ["-v", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-tags={TAGS}", NOT_OPTIMIZED]
    flags += [f"-gcflags={pattern}={NO_DEBUG_INFORMATION}" for pattern in OPTIMIZED]
    if memory_bytes is not None:
        jobs = min(os.cpu_count() or 1, max(1, memory_bytes // COMPILER_BYTES))
        flags.append(f"-p={jobs}")
    return flags


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Memory that programs can take without swapping; None where the system has no such file."""
    if not meminfo.exists():
        return None
    found = re.search(
        r"^MemAvailable: +(\d+) kB$", meminfo.read_text(encoding="utf-8"), re.MULTILINE
    )
    return int(found[1]) * 1024 if found else None


def go_environment(environ: dict[str, str]) -> dict[str, str]:
    """Go's settings for a build that depends on nothing but the module files.

    A compiler lives for a second: collecting its garbage costs a fifth of its time, and lowers the
    most memory that it takes by a tenth.
    """
    own = {"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    return environ | own | {"GOGC": environ.get("GOGC") or "off"}


def building_note(program: str, note: Callable[[str], None]) -> Callable[[str], None]:
    """Turn Go's output into how far it is."""
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
    """The language host starts programs through a script that its module carries beside it."""
    answer = ask(
        [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", HOST_PACKAGE],
        cwd=project.modules / "python-host",
        env=environment,
    )
    script = Path(answer.out.strip()) / HOST_SCRIPT
    if not answer.ok or not script.is_file():
        raise SetupError(f"{HOST_PACKAGE} carries no {HOST_SCRIPT}: {answer.err}")
    shutil.copyfile(script, target / script.name)
    (target / script.name).chmod(0o755)
