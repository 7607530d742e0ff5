"""The first chat completion of a stack, from a fake gateway."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from toolchain.stack import first_answer
from toolchain.stack.containers import Container, read_container
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Step

PLACEHOLDER = {"model": "smollm2-135m", "reason": "no hub"}


class Chat(http.server.BaseHTTPRequestHandler):
    """A gateway that streams two deltas, or responds with 503 for `refusals` times."""

    refusals = 0
    placeholder: dict[str, str] | None = None
    models: tuple[str, ...] = ("phi",)
    key_needed = False
    events: tuple[str, ...] = (
        '{"choices":[{"delta":{"content":"Hel"}}]}',
        '{"choices":[{"delta":{"content":"lo"}}]}',
    )

    def do_GET(self) -> None:
        if self.key_needed:
            self.send_error(401, "send a key")
            return
        models = [{"id": name, "placeholder": self.placeholder} for name in self.models]
        self._answer(json.dumps({"data": models}))

    def do_POST(self) -> None:
        if type(self).refusals:
            type(self).refusals -= 1
            self.send_error(503, "not yet")
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["stream"] is True
        assert body["model"] == "phi"
        events = (": ping", *(f"data: {event}" for event in self.events), "data: [DONE]", "")
        self._answer("\n\n".join(events))

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Chat]]]:
    handler = type("OneChat", (Chat,), {})
    monkeypatch.setattr(first_answer, "PAUSE_SECONDS", 0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join()


def test_streamed_completion_ends_the_wait(chat: tuple[str, type[Chat]], step: Step) -> None:
    url, _ = chat
    reply = first_answer.wait(url, step, list)
    assert reply == first_answer.Reply(model="phi", placeholder=None, text="Hello", chunks=2)


def test_request_is_repeated_until_the_chat_is_ready(
    chat: tuple[str, type[Chat]], step: Step
) -> None:
    url, handler = chat
    handler.refusals = 3
    assert first_answer.wait(url, step, list).text == "Hello"


def test_placeholder_model_is_reported(chat: tuple[str, type[Chat]], step: Step) -> None:
    url, handler = chat
    handler.placeholder = PLACEHOLDER
    assert first_answer.wait(url, step, list).placeholder == "smollm2-135m (no hub)"


def test_chat_without_models_ends_the_wait(chat: tuple[str, type[Chat]], step: Step) -> None:
    url, handler = chat
    handler.models = ()
    with pytest.raises(first_answer.NoModel):
        first_answer.wait(url, step, list)


def test_chat_with_api_keys_ends_the_wait(chat: tuple[str, type[Chat]], step: Step) -> None:
    url, handler = chat
    handler.key_needed = True
    with pytest.raises(first_answer.KeyNeeded):
        first_answer.wait(url, step, list)


def test_deadline_reports_the_last_error(
    chat: tuple[str, type[Chat]], step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = chat
    handler.events = ('{"error":{"message":"no model is ready"}}',)
    monkeypatch.setattr(first_answer, "DEADLINE_SECONDS", 0.2)
    with pytest.raises(SetupError, match="no model is ready"):
        first_answer.wait(url, step, list)


def described(**state: object) -> dict[str, object]:
    return {
        "Id": "1",
        "Name": "/phi-inference-1",
        "Config": {"Labels": {"llm-stack.service": "phi-inference"}},
        "State": {"Status": "running", **state},
        "RestartCount": 4,
    }


def test_restart_loop_ends_the_wait(chat: tuple[str, type[Chat]], step: Step) -> None:
    url, handler = chat
    handler.refusals = 1_000_000
    looping = read_container(described(Status="restarting"))
    with pytest.raises(SetupError, match="phi-inference-1 does not start: restarting, restarted 4"):
        first_answer.wait(url, step, lambda: [looping])


@pytest.mark.parametrize(
    ("status", "health", "healthy"),
    [
        ("running", "healthy", True),
        ("running", None, True),
        ("running", "starting", True),
        ("running", "unhealthy", False),
        ("exited", None, False),
    ],
)
def test_running_container_is_healthy_until_a_check_fails(
    status: str, health: str | None, healthy: bool
) -> None:
    started_once = described(Status=status, Health={"Status": health}) | {"RestartCount": 0}
    assert read_container(started_once).healthy is healthy


def test_restarting_container_is_not_healthy() -> None:
    crashing = described(Status="running", Health={"Status": "starting"}) | {"RestartCount": 2}
    assert not read_container(crashing).healthy


def test_carrier_container_does_not_have_to_run() -> None:
    carrier = Container(id="1", name="c", service=None, status="created", health=None, restarts=0)
    assert carrier.healthy


def test_message_of_a_json_log_line() -> None:
    assert first_answer.message('{"level":"info","message":"fetching"}') == "fetching"
    assert first_answer.message("plain") == "plain"


def test_request_does_not_use_the_proxy_of_the_shell(
    chat: tuple[str, type[Chat]], step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request._opener", None)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.com")
    url, _ = chat
    assert first_answer.request_completion(url).text == "Hello"
