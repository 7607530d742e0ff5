"""Runs other programs: quietly for an answer, or with their output shown as progress."""

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
# What a program that was asked to stop gets before it is killed.
STOP_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What a program said; `code` is 127 where the program does not exist."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0


def ask(
    args: Sequence[str | Path],
    *,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Answer:
    """Run a short command; neither failure nor absence nor lateness (code 124) is an error here."""
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
        return Answer(127, "", str(error))
    except subprocess.TimeoutExpired:
        return Answer(124, "", f"no answer within {timeout:.0f} s")
    return Answer(result.returncode, result.stdout, result.stderr)


def follow(
    args: Sequence[str | Path],
    *,
    log: Path,
    on_line: Callable[[str], None] = lambda line: None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run a long command, each line of its output handed to `on_line` and kept in `log`.

    Raises `SetupError` with the last lines when it fails.
    """
    code, tail = follow_code(args, log=log, on_line=on_line, env=env, cwd=cwd)
    if code:
        command = shlex.join(str(arg) for arg in args)
        raise SetupError(
            f"this command failed with exit code {code}: {command}\n"
            + "".join(f"    {line}\n" for line in tail)
            + f"All of its output is in {log}."
        )


def follow_code(
    args: Sequence[str | Path],
    *,
    log: Path,
    on_line: Callable[[str], None] = lambda line: None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> tuple[int, list[str]]:
    """As `follow`, but give the exit code and the last lines."""
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
            # The terminal's Ctrl-C reaches this program alone, which hands it on once:
            # a second one would make pulumi drop what it is doing.
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
    """Interrupt a program and those it started, and wait for it."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
