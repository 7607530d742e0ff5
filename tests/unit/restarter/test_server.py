"""The restarter over real sockets: what it restarts, and what it refuses."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from app.monitor.restarting.restarts import signed
from app.restarter.authentication import (
    CHALLENGE_SECONDS,
    Authenticator,
    Refused,
    RestartLimit,
    sign,
)
from app.restarter.engine import STALE_SECONDS, Engine, EngineError, StaleSocket
from app.restarter.server import HUNG_STOP_SECONDS, MAX_CONNECTIONS, Restarter, Server
from app.restarter.settings import Settings
from tests.doubles.docker_api import FakeDocker, container, docker_at

TOKEN = b"0123456789abcdef0123456789abcdef"
GOOD = {
    "service": "phi-inference",
    "reason": "no token for 121 s",
    "failing_since": 4e9,
    "known_start": 4e9,
    "second_opinion": False,
}


@dataclass
class Rig:
    port: int
    docker: FakeDocker
    server: Server
    listed: Path

    def send(
        self, body: bytes, headers: Any, method: str = "POST", path: str = "/restart"
    ) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        try:
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def restart(self, token: bytes = TOKEN, **changes: object) -> tuple[int, Any]:
        body = json.dumps(GOOD | changes).encode()
        return self.send(body, signed(token, "POST", "/restart", body, self.challenge()))

    def challenge(self) -> str:
        status, answer = self.send(b"", {}, "GET", "/challenge")
        assert status == 200
        return str(answer["challenge"])


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    listed = tmp_path / "restartable.json"
    listed.write_text(json.dumps({"services": ["phi-inference", "chat-interface"]}))
    settings = Settings("dev", service_list=str(listed), max_per_hour=3, min_gap=0)
    with docker_at(tmp_path / "docker.sock") as docker:
        docker.containers = [container()]
        restarter = Restarter(settings, TOKEN, Engine(str(tmp_path / "docker.sock")))
        with Server(("127.0.0.1", 0), restarter) as server:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            yield Rig(server.server_address[1], docker, server, listed)
            server.shutdown()


def test_a_signed_request_restarts_the_container_of_the_service(rig: Rig) -> None:
    assert rig.restart() == (200, {"outcome": "restarted", "detail": "phi-1: running"})
    assert rig.docker.restarted == ["/phi-1"]


def test_an_added_service_can_be_restarted_at_once_and_a_removed_one_no_longer(rig: Rig) -> None:
    rig.listed.write_text(json.dumps({"services": ["chat-interface"]}))
    assert rig.restart()[0] == 403
    rig.listed.write_text(json.dumps({"services": ["phi-inference"]}))
    assert rig.restart()[0] == 200


def test_monitor_and_restarter_compute_the_same_signature() -> None:
    headers = signed(TOKEN, "POST", "/restart", b"{}", "12.5-abc")
    assert headers["X-Challenge"] == "12.5-abc"
    assert headers["X-Signature"] == sign(TOKEN, "12.5-abc", "POST", "/restart", b"{}")


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"llm-stack.stack": "prod", "llm-stack.service": "phi-inference"},
        {"llm-stack.stack": "dev", "llm-stack.service": "chat-interface"},
        {"llm-stack.stack": "dev2", "llm-stack.service": "phi-inference"},
        {"llm-stack.service": "phi-inference"},
    ],
)
@pytest.mark.parametrize("filters_work", [True, False])
def test_containers_without_both_labels_are_never_touched(
    rig: Rig, labels: dict[str, str], filters_work: bool
) -> None:
    rig.docker.containers = [container(labels=labels)]
    rig.docker.filters_work = filters_work
    assert rig.restart()[1]["outcome"] == "not_found"
    assert rig.docker.restarted == []


def test_services_that_are_not_listed_are_refused_without_a_request_to_docker(rig: Rig) -> None:
    rig.docker.requests.clear()
    assert rig.restart(service="monitor")[0] == 403
    assert rig.docker.requests == []


@pytest.mark.parametrize(
    "changes",
    [
        {"service": "../containers/abc"},
        {"service": "phi-inference/../../volumes/prune"},
        {"service": "phi-inference?force=1"},
        {"service": "phi-inference\r\nHost: x"},
        {"service": "phi-inference\n"},
        {"service": ["phi-inference"]},
        {"service": ""},
        {"replica": None},
        {"reason": "x" * 501},
        {"failing_since": "yesterday"},
        {"known_start": True},
        {"second_opinion": 1},
        {"verb": "kill"},
    ],
)
def test_invalid_bodies_are_refused(rig: Rig, changes: dict[str, Any]) -> None:
    rig.docker.requests.clear()
    assert rig.restart(**changes)[0] == 400
    assert rig.docker.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/restart/",
        "/restart?x=1",
        "/restart/../health",
        "//restart",
        "/stop",
        "/kill",
        "/exec",
        "/containers/json",
        "/containers/abc/restart",
        "/%72estart",
        "http://x/restart",
    ],
)
def test_other_paths_are_refused_even_when_signed(rig: Rig, path: str) -> None:
    body = json.dumps(GOOD).encode()
    rig.docker.requests.clear()
    status, _ = rig.send(body, signed(TOKEN, "POST", path, body, rig.challenge()), path=path)
    assert (status, rig.docker.requests) == (404, [])


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "KILL"])
def test_other_methods_are_refused_even_when_signed(rig: Rig, method: str) -> None:
    body = json.dumps(GOOD).encode()
    rig.docker.requests.clear()
    connection = HTTPConnection("127.0.0.1", rig.port, timeout=10)
    connection.request(
        method, "/restart", body, dict(signed(TOKEN, method, "/restart", body, rig.challenge()))
    )
    assert connection.getresponse().status == 405
    connection.close()
    assert rig.docker.requests == []


def test_requests_with_a_wrong_signature_are_refused(rig: Rig) -> None:
    body = json.dumps(GOOD).encode()
    good = dict(signed(TOKEN, "POST", "/restart", body, rig.challenge()))
    other = json.dumps(GOOD | {"service": "chat-interface"}).encode()
    issued_by_another = Authenticator(TOKEN, time.monotonic).challenge()
    attempts: list[tuple[bytes, dict[str, str]]] = [
        (body, {}),
        (body, {**good, "X-Signature": ""}),
        (body, {**good, "X-Signature": "\u00e9"}),
        (body, {**good, "X-Signature": "0" * 64}),
        (body, {**good, "X-Challenge": rig.challenge()}),
        (body, {**good, "X-Challenge": "short"}),
        (body, {**good, "X-Challenge": "1" + good["X-Challenge"]}),
        (other, good),
        (body, dict(signed(b"x" * 32, "POST", "/restart", body, rig.challenge()))),
        (body, dict(signed(TOKEN, "POST", "/restart", body, "12.000000-made-up"))),
        (body, dict(signed(TOKEN, "POST", "/restart", body, issued_by_another))),
        (body, dict(signed(TOKEN, "GET", "/restart", body, rig.challenge()))),
        (body, dict(signed(TOKEN, "POST", "/health", body, rig.challenge()))),
    ]
    assert [rig.send(sent, headers)[0] for sent, headers in attempts] == [401] * len(attempts)
    assert rig.docker.restarted == []


def test_a_signed_request_is_accepted_once(rig: Rig) -> None:
    body = json.dumps(GOOD).encode()
    headers = signed(TOKEN, "POST", "/restart", body, rig.challenge())
    answers = [rig.send(body, headers) for _ in range(3)]
    assert [status for status, _ in answers] == [200, 401, 401]
    assert answers[1][1] == {"error": "replayed"}
    assert len(rig.docker.restarted) == 1


def test_a_challenge_can_be_used_for_half_a_minute() -> None:
    now = 1000.0
    authenticator = Authenticator(TOKEN, lambda: now)
    on_time, late = authenticator.challenge(), authenticator.challenge()
    now += CHALLENGE_SECONDS
    authenticator.check(signed(TOKEN, "POST", "/restart", b"", on_time), "POST", "/restart", b"")
    now += 1
    with pytest.raises(Refused, match="too old"):
        authenticator.check(signed(TOKEN, "POST", "/restart", b"", late), "POST", "/restart", b"")


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
def test_a_clock_that_is_set_keeps_nothing_from_being_restarted(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    assert rig.restart()[0] == 200
    now = time.time()
    rig.server.restarter._clock = lambda: now + step
    rig.docker.containers = [container(state={"StartedAt": moment(now)})]
    assert rig.restart(failing_since=now + step, known_start=now + step)[1]["outcome"] == (
        "restarted"
    )


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")


def test_connections_are_served_again_after_no_thread_could_start(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("socketserver.ThreadingMixIn.process_request", no_thread)
        for _ in range(MAX_CONNECTIONS + 1):
            with socket.create_connection(("127.0.0.1", rig.port), timeout=5) as connection:
                assert connection.recv(1) == b""
    assert rig.restart()[0] == 200


def test_a_container_that_fails_its_own_check_gets_no_time_to_drain(rig: Rig) -> None:
    failed = {"Status": "unhealthy", "Log": [{"Start": moment(time.time() - 5), "ExitCode": 1}]}
    rig.docker.containers = [container(health=failed)]
    assert rig.restart(second_opinion=True)[1]["outcome"] == "restarted"
    rig.docker.containers = [container()]
    assert rig.restart(second_opinion=True)[1]["outcome"] == "restarted"
    assert rig.docker.stop_timeouts == [str(HUNG_STOP_SECONDS), None]


def test_valid_requests_over_the_hourly_limit_are_refused(rig: Rig) -> None:
    statuses = [rig.restart()[0] for _ in range(10)]
    assert statuses == [200] * 3 + [429] * 7
    assert len(rig.docker.restarted) == 3


def test_restarts_that_failed_in_docker_are_not_counted(rig: Rig) -> None:
    rig.server.restarter._limit._min_gap = 60
    rig.docker.restart_status = 500
    assert [rig.restart()[1]["outcome"] for _ in range(10)] == ["engine_failed"] * 10
    rig.docker.restart_status = 204
    assert rig.restart()[1]["outcome"] == "restarted"
    assert rig.restart()[0] == 429, "a successful restart is counted"


def test_concurrent_calls_of_give_back_never_raise_the_limit() -> None:
    limit = RestartLimit(max_per_hour=3, min_gap=0, clock=time.time)

    def attempt(number: int) -> bool:
        try:
            taken_at = limit.take("phi-inference")
        except Refused:
            return False
        if number % 2:
            limit.give_back("phi-inference", taken_at)
        return not number % 2

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(1000))) == 3


def test_many_bad_requests_do_not_block_the_monitor(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(200):
        assert rig.restart(token=b"wrong")[0] == 401
    assert rig.restart()[0] == 200
    assert capsys.readouterr().out.count('"refused"') < 20


def test_idle_connections_are_limited_and_closed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.restarter.server.REQUEST_SECONDS", 0.3)
    idle = [socket.create_connection(("127.0.0.1", rig.port)) for _ in range(MAX_CONNECTIONS + 5)]
    for number, connection in enumerate(idle):
        connection.settimeout(5)
        assert connection.recv(1) == b"", f"connection {number} is closed by the restarter"
        connection.close()
    assert rig.restart()[0] == 200


def test_the_connection_of_a_slow_client_is_closed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.restarter.server.REQUEST_SECONDS", 0.3)
    connection = socket.create_connection(("127.0.0.1", rig.port))
    connection.settimeout(0.05)
    connection.sendall(b"POST /restart HTTP/1.0\r\n")
    cut = False
    while not cut:
        try:
            connection.sendall(b"X")
            cut = connection.recv(1) == b""
        except TimeoutError:
            continue
        except OSError:
            cut = True
    connection.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 99999999999999999999", 413),
        (b"Content-Length: 2049", 413),
        (b"Content-Length: -1", 411),
        (b"Content-Length: 5, 5", 411),
        (b"X-Nothing: 1", 411),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked", 411),
    ],
)
def test_bodies_with_a_wrong_length_are_refused(rig: Rig, head: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", rig.port), timeout=5) as connection:
        connection.sendall(b"POST /restart HTTP/1.1\r\n" + head + b"\r\n\r\n")
        assert f" {status} ".encode() in connection.recv(100)


def test_a_request_during_a_restart_gets_the_result_of_that_restart(rig: Rig) -> None:
    rig.docker.restart_allowed.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(rig.restart)
        assert rig.docker.restarting.wait(10)
        lines = len(rig.docker.requests)
        second = pool.submit(rig.restart)
        while len(rig.server.restarter.authenticator._used) < 2:
            time.sleep(0.01)
        with pytest.raises(TimeoutError):
            second.result(0.2)
        rig.docker.restart_allowed.set()
        assert first.result(10) == second.result(10)
    assert first.result()[1]["outcome"] == "restarted"
    assert len(rig.docker.restarted) == 1
    assert len(rig.docker.requests) == lines, "no further request to Docker"


def test_a_container_that_the_monitor_has_not_seen_fail_is_not_restarted(rig: Rig) -> None:
    status, answer = rig.restart(known_start=1_000_000.0)
    assert (status, answer["outcome"]) == (200, "fresh")
    assert answer["started_at"] == pytest.approx(1767225600.123456)
    assert rig.docker.restarted == []


def test_an_error_of_docker_is_in_the_response(rig: Rig) -> None:
    rig.docker.restart_status = 500
    status, answer = rig.restart()
    assert (status, answer["outcome"]) == (200, "engine_failed")
    assert "cannot restart" in answer["detail"]


def test_without_docker_health_is_503_and_a_restart_fails(tmp_path: Path) -> None:
    restarter = Restarter(Settings("dev", ("phi-inference",)), TOKEN, Engine("/nowhere.sock"))
    status, health = restarter.health()
    assert (status, health["status"]) == (503, "failing")
    answer = restarter.restart(json.dumps(GOOD).encode())
    assert answer["outcome"] == "engine_failed"
    assert "cannot reach Docker" in str(answer["detail"])


def test_it_ends_where_only_a_new_start_reaches_docker(tmp_path: Path) -> None:
    seconds = [0.0]
    path = str(tmp_path / "docker.sock")
    engine = Engine(path, steady_clock=lambda: seconds[0])
    restarter = Restarter(Settings("dev", ("phi-inference",)), TOKEN, engine)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(path)
        with Server(("127.0.0.1", 0), restarter) as server:
            assert restarter.health()[0] == 503
            seconds[0] = STALE_SECONDS
            server.service_actions()
            assert restarter.health()[0] == 503
            seconds[0] += 1
            with pytest.raises(StaleSocket):
                server.serve_forever(0.02)


def test_an_engine_that_answers_again_needs_no_new_start(tmp_path: Path) -> None:
    seconds = [0.0]
    path = tmp_path / "docker.sock"
    engine = Engine(str(path), steady_clock=lambda: seconds[0])
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
        with pytest.raises(EngineError):
            engine.ping()
    path.unlink()
    with docker_at(path):
        engine.ping()
        seconds[0] = STALE_SECONDS + 1
        engine.check_socket()


def test_health_needs_no_signature_and_has_no_details(rig: Rig) -> None:
    assert rig.send(b"", {}, method="GET", path="/health") == (200, {"status": "ok"})
    assert rig.send(b"", {}, method="GET", path="/")[0] == 404


def test_log_lines_have_the_schema_of_the_other_images(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.restart()
    rig.restart(token=b"wrong")
    restart, refused = map(json.loads, capsys.readouterr().out.splitlines())
    for line in (restart, refused):
        assert list(line)[:3] == ["time", "level", "message"]
        assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)
    assert (restart["level"], restart["message"]) == ("info", "restart")
    assert (restart["service"], restart["outcome"]) == ("phi-inference", "restarted")
    assert (refused["level"], refused["message"]) == ("warning", "refused")
