"""The question that tells whether a stack serves, asked of a small server."""

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

DEMO = {"model": "smollm2-135m", "reason": "no hub"}


class Chat(http.server.BaseHTTPRequestHandler):
    """A chat that streams two words, or refuses as often as it is told."""

    refusals = 0
    placeholder: dict[str, str] | None = None
    models: tuple[str, ...] = ("phi",)
    key_needed = False
    events = (
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


def test_a_streamed_answer_ends_the_wait(chat: tuple[str, type[Chat]], step: Step) -> None:
    url, _ = chat
    reply = first_answer.wait(url, step, list)
    assert reply == first_answer.Reply(model="phi", placeholder=None, text="Hello", chunks=2)


def test_a_chat_that_is_not_ready_is_asked_again(chat: tuple[str, type[Chat]], step: Step) -> None:
    url, handler = chat
    handler.refusals = 3
    assert first_answer.wait(url, step, list).text == "Hello"


def test_a_placeholder_is_told(chat: tuple[str, type[Chat]], step: Step) -> None:
    url, handler = chat
    handler.placeholder = DEMO
    assert first_answer.wait(url, step, list).placeholder == "smollm2-135m (no hub)"


def test_a_chat_without_a_model_is_waited_for_no_longer(
    chat: tuple[str, type[Chat]], step: Step
) -> None:
    url, handler = chat
    handler.models = ()
    with pytest.raises(first_answer.NoModel):
        first_answer.wait(url, step, list)


def test_a_chat_that_wants_a_key_is_waited_for_no_longer(
    chat: tuple[str, type[Chat]], step: Step
) -> None:
    url, handler = chat
    handler.key_needed = True
    with pytest.raises(first_answer.KeyNeeded):
        first_answer.wait(url, step, list)


def test_the_deadline_tells_the_last_reason(
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


def test_a_service_that_keeps_ending_ends_the_wait(
    chat: tuple[str, type[Chat]], step: Step
) -> None:
    url, handler = chat
    handler.refusals = 1_000_000
    looping = read_container(described(Status="restarting"))
    with pytest.raises(
        SetupError, match="phi-inference-1 does not come up: restarting, restarted 4"
    ):
        first_answer.wait(url, step, lambda: [looping])


@pytest.mark.parametrize(
    ("status", "health", "well"),
    [
        ("running", "healthy", True),
        ("running", None, True),
        ("running", "starting", True),
        ("running", "unhealthy", False),
        ("exited", None, False),
    ],
)
def test_a_service_is_well_when_it_runs_and_is_not_known_to_be_ill(
    status: str, health: str | None, well: bool
) -> None:
    started_once = described(Status=status, Health={"Status": health}) | {"RestartCount": 0}
    assert read_container(started_once).well is well


def test_a_service_that_is_started_over_and_over_is_not_well() -> None:
    crashing = described(Status="running", Health={"Status": "starting"}) | {"RestartCount": 2}
    assert not read_container(crashing).well


def test_a_container_that_only_carries_files_need_not_run() -> None:
    carrier = Container(id="1", name="c", service=None, status="created", health=None, restarts=0)
    assert carrier.well


def test_the_text_of_a_log_line_is_found_in_its_json() -> None:
    assert first_answer.message('{"level":"info","message":"fetching"}') == "fetching"
    assert first_answer.message("plain") == "plain"


def test_the_chat_of_this_machine_is_asked_without_the_shells_proxy(
    chat: tuple[str, type[Chat]], step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request._opener", None)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.com")
    url, _ = chat
    assert first_answer.ask_chat(url).text == "Hello"
