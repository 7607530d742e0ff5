"""Pause and resume over the socket inside the container, by the command line."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.monitor.__main__ import main
from app.monitor.admin import read_duration

ROOT = Path(__file__).parents[3]


class Monitor:
    """A monitor in its own process, with a service that does not run."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "admin.sock"
        config = {
            "stack": "dev",
            "internal": {
                "host": "127.0.0.1",
                "port": 18_090 + os.getpid() % 10_000,
                "state_dir": str(folder),
                "admin_socket": str(self.socket),
            },
            "services": [{"name": "phi", "url": "http://127.0.0.1:1/"}],
        }
        path = folder / "monitor.json"
        path.write_text(json.dumps(config))
        self.environment = {**os.environ, "MONITOR_CONFIG": str(path)}

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.monitor", *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=self.environment, cwd=ROOT,
        )  # fmt: skip

    async def command(self, *words: str) -> tuple[int | None, str]:
        process = await self.start(*words)
        out, err = await process.communicate()
        return process.returncode, (out + err).decode()


@pytest.fixture
async def monitor(tmp_path: Path) -> AsyncIterator[Monitor]:
    monitor = Monitor(tmp_path)
    process = await monitor.start()
    assert process.stdout
    assert b'"monitor started"' in await process.stdout.readline()
    yield monitor
    process.terminate()
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b'"monitor stopped"' in out.splitlines()[-1]
    assert (tmp_path / "state.json").exists(), "the state was saved"


async def test_pause_and_resume_by_hand(monitor: Monitor) -> None:
    code, output = await monitor.command("pause", "phi", "--for", "2h")
    assert (code, json.loads(output)) == (0, {"paused": ["phi"], "seconds": 7200})
    code, output = await monitor.command("resume")
    assert (code, json.loads(output)) == (0, {"resumed": ["phi"]})
    code, output = await monitor.command("pause", "qwen")
    assert code == 1
    assert "there is no service 'qwen'; allowed: phi" in output
    assert (await monitor.command("pause", "--for", "soon"))[0] == 2
    assert monitor.socket.stat().st_mode & 0o077 == 0


async def test_without_a_monitor_the_command_reports_it(tmp_path: Path) -> None:
    code, output = await Monitor(tmp_path).command("pause")
    assert code == 1
    assert "is a monitor running?" in output


def test_every_command_in_the_help_exists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    named = {line.split()[1].strip("[]") for line in lines if line.startswith("monitor ")}
    assert named == {"run", "pause", "resume"}
    for name in named:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0, name


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200)])
def test_durations_are_parsed(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "15", "-5m", "0s", "1w", "1.5h"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid duration"):
        read_duration(text)
