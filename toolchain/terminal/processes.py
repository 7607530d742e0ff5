"""Runs other programs: to read their output, or to show it as progress."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.terminal.errors import SetupError

TAIL_LINES = 40
# Grace period between SIGINT and SIGKILL.
STOP_SECONDS = 60


@dataclass(frozen=True)
class Result:
    """Exit code and output of a program; code 127: it does not exist, 124: timeout."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0


def capture(
    args: Sequence[str | Path],
    *,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Result:
    """Run a short command; failures are reported by the exit code only."""
    try:
        result = subprocess.run(
            [str(arg) for arg in args],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
        )
    except (FileNotFoundError, PermissionError) as error:
        return Result(127, "", str(error))
    except subprocess.TimeoutExpired:
        return Result(124, "", f"no output within {timeout:.0f} s")
    return Result(result.returncode, result.stdout, result.stderr)


def follow(
    args: Sequence[str | Path],
    *,
    log: Path,
    on_line: Callable[[str], None] = lambda line: None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run a long command; pass each line of its output to `on_line` and append it to `log`.

    Raises `SetupError` with the last lines if it fails.
    """
    code, tail = follow_code(args, log=log, on_line=on_line, env=env, cwd=cwd)
    if code:
        command = shlex.join(str(arg) for arg in args)
        raise SetupError(
            f"this command failed with exit code {code}: {command}\n"
            + "".join(f"    {line}\n" for line in tail)
            + f"The full output is in {log}."
        )


def follow_code(
    args: Sequence[str | Path],
    *,
    log: Path,
    on_line: Callable[[str], None] = lambda line: None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> tuple[int, list[str]]:
    """As `follow`, but return the exit code and the last lines."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a", encoding="utf-8") as kept,
        subprocess.Popen(
            [str(arg) for arg in args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            cwd=cwd,
            # Ctrl-C in the terminal reaches only this program, which forwards it once:
            # after a second one, pulumi exits without completing its operations.
            process_group=0,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                kept.write(line)
                tail.append(line.rstrip())
                on_line(line.rstrip())
        except BaseException:
            stop(process)
            raise
    return process.returncode, list(tail)


def stop(process: subprocess.Popen[str]) -> None:
    """Interrupt a process group and wait for its end."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
