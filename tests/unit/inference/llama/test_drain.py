"""Draining: when llama-server is stopped, and the exit code of the container."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.inference.llama import drain
from tests.ports import free_port

# drain.py with shorter times.
RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import drain
drain.NOTICE_SECONDS, drain.POLL_SECONDS, drain.KILL_SECONDS = 0.2, 0.05, 0.3
drain.STALLED_SECONDS = 2
sys.exit(drain.main(sys.argv[2:]))
"""

# Answers /slots and /props with the content of files and records signals in another one. With the argument
# "deaf" it ignores SIGTERM.
FAKE_LLAMA_SERVER = """
import http.server, pathlib, signal, sys
port, folder, deaf = int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:] == ["deaf"]
class Slots(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with (folder / "paths").open("a") as paths:
            paths.write(self.path + "\\n")
        body = (folder / self.path[1:].split("?")[0].replace("/", "_")).read_bytes()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
        (folder / "asked").touch()
    def log_message(self, *args): pass
def note(number, frame):
    with (folder / "signals").open("a") as notes:
        notes.write(signal.Signals(number).name + "\\n")
    if number == signal.SIGTERM and not deaf:
        sys.exit(0)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, note)
http.server.HTTPServer(("127.0.0.1", port), Slots).serve_forever()
"""


def slots(busy: bool, tokens: int) -> str:
    return json.dumps([{"id": 0, "is_processing": busy, "n_decoded": tokens}])


@dataclass
class Container:
    """drain.py with a fake llama-server, and the observable state of both."""

    folder: Path
    port: int = field(default_factory=free_port)
    status_port: int = field(default_factory=free_port)

    def start(self, *command: str, seconds: float = 20) -> subprocess.Popen[str]:
        numbers = (self.port, self.status_port, seconds)
        drain_command = [sys.executable, "-IS", "-c", RUN, str(Path(drain.__file__).parent)]
        return subprocess.Popen(
            [*drain_command, *map(str, numbers), *command],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @contextlib.contextmanager
    def serving(self, *more: str, seconds: float = 20) -> Iterator[subprocess.Popen[str]]:
        """Started, with a fake llama-server that answers."""
        self.set_asleep(False)
        self.set_slots(False)
        command = [sys.executable, "-c", FAKE_LLAMA_SERVER, str(self.port), str(self.folder), *more]
        with self.start(*command, seconds=seconds) as process:
            try:
                self.until(lambda: drain.current_work(self.port) is None and self.was_polled())
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def set_slots(self, busy: bool, tokens: int = 0) -> None:
        self.write("slots", slots(busy, tokens))

    def set_asleep(self, asleep: bool) -> None:
        self.write("props", json.dumps({"is_sleeping": asleep}))

    def write(self, name: str, text: str) -> None:
        """Whole at once: the server must not read the beginning."""
        draft = self.folder / f"{name}.new"
        draft.write_text(text)
        draft.replace(self.folder / name)

    def set_models(self, **states: str) -> None:
        """Become a router with these models."""
        data = [{"id": name, "status": {"value": state}} for name, state in states.items()]
        self.write("v1_models", json.dumps({"data": data}))
        self.write("props", json.dumps({"role": "router"}))

    @property
    def paths(self) -> list[str]:
        return (self.folder / "paths").read_text().split()

    def was_polled(self) -> bool:
        asked = self.folder / "asked"
        found = asked.exists()
        asked.unlink(missing_ok=True)
        return found

    def until(self, condition: object) -> None:
        ends = time.monotonic() + 20
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < ends
            time.sleep(0.01)

    def status(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.status_port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", "/")
            word: str = json.loads(connection.getresponse().read())["status"]
            return word

    @property
    def signals(self) -> list[str]:
        notes = self.folder / "signals"
        return notes.read_text().split() if notes.exists() else []


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


def test_running_requests_finish_before_llama_server_is_stopped(container: Container) -> None:
    with container.serving() as process:
        assert container.status() == "ok"
        container.set_slots(True)
        process.send_signal(signal.SIGTERM)
        container.until(lambda: container.status() == "draining")
        begun = time.monotonic()
        for tokens in range(1000):
            container.set_slots(True, tokens)
            container.until(container.was_polled)
            if time.monotonic() > begun + 3:
                break
        assert process.poll() is None, "no stop as long as there are new tokens"
        assert container.signals == [], "llama-server has received no signal"
        container.set_slots(False)
        assert process.wait(20) == 0
        assert container.signals == ["SIGTERM"]


def test_it_serves_until_the_gateway_has_seen_the_status(container: Container) -> None:
    with container.serving() as process:
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert time.monotonic() - begun > 0.2


def test_a_request_that_takes_too_long_is_dropped(container: Container) -> None:
    with container.serving("deaf", seconds=0.5) as process:
        container.set_slots(True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "still busy" in (process.stdout.read() if process.stdout else "")


def test_requests_without_progress_are_dropped(container: Container) -> None:
    with container.serving() as process:
        container.set_slots(True)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert 2 < time.monotonic() - begun < 15


def test_a_sleeping_server_is_idle_and_is_not_woken(container: Container) -> None:
    with container.serving() as process:
        container.set_asleep(True)
        container.set_slots(True)
        (container.folder / "paths").unlink()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert set((container.folder / "paths").read_text().split()) == {"/props"}
        assert container.signals == ["SIGTERM"]


def test_a_second_stop_signal_ends_the_wait(container: Container) -> None:
    with container.serving() as process:
        container.set_slots(True)
        process.send_signal(signal.SIGTERM)
        container.until(container.was_polled)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_other_signals_are_forwarded(container: Container) -> None:
    with container.serving() as process:
        process.send_signal(signal.SIGHUP)
        container.until(lambda: container.signals == ["SIGHUP"])
        assert container.status() == "ok"


@pytest.mark.parametrize(("ends", "code"), [("exit 3", 3), ("kill -SEGV $$", 139)])
def test_the_exit_code_of_llama_server_is_that_of_the_container(
    container: Container, ends: str, code: int
) -> None:
    with container.start("/bin/sh", "-c", ends) as process:
        assert process.wait(20) == code


def test_a_crash_during_the_drain_is_not_a_clean_exit(container: Container) -> None:
    with container.serving() as process:
        container.set_slots(True)
        process.send_signal(signal.SIGTERM)
        container.until(container.was_polled)
        llama_server = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        os.kill(llama_server, signal.SIGKILL)
        assert process.wait(20) == 137


def test_a_file_that_is_not_a_program_is_an_error(container: Container) -> None:
    with container.start("/etc/hostname") as process:
        assert process.wait(20) == 18
        assert json.loads(process.stdout.read() if process.stdout else "")["level"] == "error"


def test_a_port_in_use_is_an_error(container: Container) -> None:
    with socket.create_server(("", container.status_port)), container.start("/bin/true") as process:
        assert process.wait(20) == 18
        assert str(container.status_port) in (process.stdout.read() if process.stdout else "")


def test_a_llama_server_that_does_not_answer_in_time_is_busy(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "REQUEST_SECONDS", 0.1)
    assert drain.current_work(container.port) is None, "the port is closed"
    with socket.create_server(("127.0.0.1", container.port)):
        assert drain.current_work(container.port)


def test_a_router_is_drained_until_no_loaded_model_works(container: Container) -> None:
    with container.serving() as process:
        container.set_models(a="loaded", b="sleeping", c="unloaded")
        container.set_slots(True)
        process.send_signal(signal.SIGTERM)
        container.until(lambda: "/slots?model=a&autoload=false" in container.paths)
        assert container.signals == []
        # The next request of its queue loads another model.
        container.set_models(a="unloaded", b="unloaded", c="loading")
        container.was_polled()
        container.until(container.was_polled)
        assert container.signals == []
        container.set_slots(False)
        container.set_models(a="unloaded", b="unloaded", c="loaded")
        assert process.wait(20) == 0
    assert container.signals == ["SIGTERM"]
    assert not [path for path in container.paths if "model=b" in path], "it would wake"
