"""Other programs: missing, failing, too slow, interrupted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import capture, follow

FAILING = "import sys; print('first'); print('why', file=sys.stderr); sys.exit(3)"


def test_missing_program_has_an_exit_code() -> None:
    assert capture(["no-such-program"]).code == 127


def test_timeout_has_an_exit_code() -> None:
    result = capture([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.1)
    assert not result.ok
    assert "no output within" in result.err


def test_each_line_is_passed_on_and_logged(tmp_path: Path) -> None:
    lines: list[str] = []
    log = tmp_path / "logs" / "step.log"
    follow([sys.executable, "-c", "print('one'); print('two')"], log=log, on_line=lines.append)
    assert lines == ["one", "two"]
    assert log.read_text() == "one\ntwo\n"


def test_failure_shows_the_last_lines_and_the_log(tmp_path: Path) -> None:
    log = tmp_path / "step.log"
    with pytest.raises(SetupError) as error:
        follow([sys.executable, "-c", FAILING], log=log)
    text = str(error.value)
    assert "exit code 3" in text
    assert "    why\n" in text
    assert str(log) in text


def test_interrupt_is_forwarded_to_the_program(tmp_path: Path) -> None:
    script = (
        "import signal, sys, pathlib, time\n"
        "signal.signal(signal.SIGINT, lambda *_: (print('ending', flush=True), sys.exit(0)))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
        f"pathlib.Path({str(tmp_path / 'ran-on')!r}).touch()"
    )

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow([sys.executable, "-c", script], log=tmp_path / "log", on_line=interrupt)
    assert not (tmp_path / "ran-on").exists()
