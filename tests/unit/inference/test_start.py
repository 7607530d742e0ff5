"""The start of the container as a process: log, exit code, and the response on its port meanwhile."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.inference.startup_status import StartupStatus
from tests.doubles.model_hub import FakeHub
from tests.unit.inference.conftest import write_config

ROOT = Path(__file__).parents[3]


@pytest.fixture
def status(free_port: int) -> Iterator[StartupStatus]:
    with StartupStatus(free_port, host="127.0.0.1") as answering:
        yield answering


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.inference"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_failure_is_one_json_line_with_error_and_what_to_do_and_no_traceback(
    free_port: int, tmp_path: Path
) -> None:
    ended = run(
        {
            "MODEL_CONFIG": str(write_config(tmp_path, {"path": str(tmp_path / "none.gguf")})),
            "PORT": str(free_port),
        }
    )
    [line] = ended.stdout.splitlines()
    entry = json.loads(line)
    assert ended.returncode == entry["exit_code"] == 10
    assert str(tmp_path / "none.gguf") in entry["error"]
    assert entry["what_to_do"]
    assert entry["level"] == "error"
    assert ended.stderr == ""


def test_bad_settings_end_with_code_2(tmp_path: Path) -> None:
    ended = run({"MODEL_CONFIG": str(write_config(tmp_path, {"file": "x.gguf"}))})
    assert ended.returncode == 2
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["level"] for line in lines] == ["error"]
    assert "model.json: files.0: set repository and file" in lines[0]["message"]


def test_sigterm_ends_a_download_at_once(hub: FakeHub, free_port: int, tmp_path: Path) -> None:
    hub.failing_answers = [503] * 1000
    file = {"repository": hub.repository, "file": hub.name, "sha256": hub.sha256}
    starting = subprocess.Popen(
        [sys.executable, "-m", "app.inference"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "MODEL_CONFIG": str(write_config(tmp_path, file, hub=hub.endpoint)),
            "MODELS_DIR": str(tmp_path),
            "PORT": str(free_port),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starting.stdout is not None
    assert "trying again" in starting.stdout.readline()
    starting.send_signal(signal.SIGTERM)
    rest, _ = starting.communicate(timeout=30)
    assert starting.returncode == 143
    assert "the partial download is kept" in rest


def test_until_llama_server_starts_the_port_answers_503_with_the_step(
    status: StartupStatus,
) -> None:
    status.report("fetching the model: 42.0 %")
    assert status.port is not None
    connection = http.client.HTTPConnection("127.0.0.1", status.port)
    connection.request("GET", "/health")
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    assert answer.status == 503
    assert answer.getheader("Retry-After")
    assert body["error"] == {
        "code": 503,
        "type": "unavailable_error",
        "message": "fetching the model: 42.0 %",
    }


def test_the_port_is_free_again_for_llama_server(free_port: int) -> None:
    with StartupStatus(free_port, host="127.0.0.1"):
        pass
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", free_port))


def test_a_port_in_use_does_not_prevent_the_download(
    status: StartupStatus,
) -> None:
    assert status.port is not None
    with StartupStatus(status.port, host="127.0.0.1") as second:
        assert second.port is None
