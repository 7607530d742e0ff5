"""What a person types, and what `up`, `down` and the checks make of it."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from toolchain.commands import cli
from toolchain.commands.checks import test_selection as selection
from toolchain.commands.steps import Finding
from toolchain.project import Project
from toolchain.stack import first_answer
from toolchain.stack.containers import Container
from toolchain.stack.first_answer import KeyNeeded, NoModel, Reply
from toolchain.terminal.progress import Progress, Step


def test_no_command_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "./dev" in capsys.readouterr().out


@pytest.mark.parametrize("args", [["sideways"], ["up", "--faster"], ["doctor", "extra"]])
def test_what_is_not_known_is_refused(args: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(args)
    assert end.value.code == 2


def test_what_root_made_is_told_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def doctor(project: Project, progress: Progress) -> NoReturn:
        raise PermissionError(13, "Permission denied", "/checkout/.state/pulumi")

    monkeypatch.setattr(cli, "doctor", doctor)
    monkeypatch.setattr(cli, "Progress", lambda: Progress(sys.stdout))
    assert cli.main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "You may not use /checkout/.state/pulumi" in told
    assert "sudo chown -R $(id -u)" in told


class Present:
    """A step of the set-up with nothing to do."""

    title = "Thing"

    def __init__(self, project: Project) -> None: ...

    def find(self) -> Finding:
        return Finding(True, "there")


@pytest.mark.parametrize(
    ("info", "code", "line"),
    [
        ({"ServerVersion": "28.5.2", "Architecture": "x86_64"}, 0, "ok  Engine version: 28.5.2"),
        (
            {"ServerVersion": "20.10.24+dfsg1"},
            0,
            "warning  Engine version: 20.10.24+dfsg1 lets other",
        ),
        (
            {"ServerVersion": "28.5.2", "CpuCfsQuota": False},
            1,
            "problem  Resource limits: the engine",
        ),
    ],
)
def test_doctor_fails_for_problems_and_not_for_warnings(
    project: Project,
    progress: Progress,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    info: dict[str, Any],
    code: int,
    line: str,
) -> None:
    monkeypatch.setattr(cli, "setup_steps", lambda project: [])
    for step in ("LocalState", "Browser", "CheckingPrograms"):
        monkeypatch.setattr(cli, step, Present)
    monkeypatch.setattr(cli.containers, "list_containers", list)
    monkeypatch.setattr(cli, "ask_engine", lambda: info)
    assert cli.doctor(project, progress) == code
    assert line in out.getvalue()


def test_down_where_nothing_is_up_is_no_error(
    project: Project, progress: Progress, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.down(project, progress, volumes=False) == 0


HERE = "http://127.0.0.1:8080"
WHAT_RUNS = "docker ps --filter label=llm-stack.stack=dev"


class StackThatIsUp:
    """A dev stack on which pulumi has finished."""

    urls: dict[str, str | None]

    def __init__(self, project: Project, progress: Progress) -> None:
        pass

    def select(self, step: Step) -> None:
        pass

    def adapt(self, step: Step) -> None:
        pass

    def up(self) -> None:
        pass

    def outputs(self) -> dict[str, object]:
        return {"urls": self.urls}

    def containers(self) -> list[Container]:
        return []


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> type[StackThatIsUp]:
    monkeypatch.setattr(cli, "setup_steps", lambda project: [])
    monkeypatch.setattr(cli, "DevStack", StackThatIsUp)
    return StackThatIsUp


def chat_that(monkeypatch: pytest.MonkeyPatch, outcome: Reply | type[Exception]) -> None:
    def wait(url: str, *_: object) -> Reply:
        assert url == HERE
        if isinstance(outcome, Reply):
            return outcome
        raise outcome

    monkeypatch.setattr(first_answer, "wait", wait)


def nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(*_: object) -> NoReturn:
        pytest.fail("there is nothing to ask")

    monkeypatch.setattr(first_answer, "wait", wait)


def test_up_ends_with_the_first_answer(
    stack: type[StackThatIsUp],
    project: Project,
    progress: Progress,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack.urls = {"chat-interface": HERE, "phi-inference": None}
    chat_that(
        monkeypatch, Reply(model="phi", placeholder="smollm2-135m (no hub)", text="Hello", chunks=2)
    )
    assert cli.up(project, progress) == 0
    assert "      Hello\n" in out.getvalue()
    assert "This was the demo model smollm2-135m (no hub), in place of phi." in out.getvalue()
    assert f"The chat is at {HERE} (" in out.getvalue()


def test_up_of_the_chat_alone_tells_how_to_add_a_model(
    stack: type[StackThatIsUp],
    project: Project,
    progress: Progress,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack.urls = {"chat-interface": HERE}
    chat_that(monkeypatch, NoModel)
    assert cli.up(project, progress) == 0
    assert "the chat runs, but no model is on" in out.getvalue()
    assert "pulumi config set --path 'services[1]' phi-inference && pulumi up" in out.getvalue()
    assert f"The chat is at {HERE} (" in out.getvalue()


def test_up_of_a_chat_that_wants_a_key_asks_nothing(
    stack: type[StackThatIsUp],
    project: Project,
    progress: Progress,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack.urls = {"chat-interface": HERE, "phi-inference": None}
    chat_that(monkeypatch, KeyNeeded)
    assert cli.up(project, progress) == 0
    assert "it wants a key (llm-stack:apiKeys)" in out.getvalue()


@pytest.mark.parametrize(
    ("urls", "told"),
    [
        (
            {"phi-inference": None, "qwen-inference": "http://127.0.0.1:8081"},
            [
                "There is no chat to ask",
                "What runs: phi-inference, qwen-inference at http://127.0.0.1:8081.",
            ],
        ),
        (
            {"chat-interface": None, "phi-inference": None},
            [
                "chat-interface has no port on this machine (llm-stack:hostPorts.chat-interface)",
                "What runs: chat-interface, phi-inference.",
            ],
        ),
        ({}, ["There is no chat to ask", "What runs: the monitor alone."]),
    ],
    ids=["a model alone", "a chat without a port", "no service"],
)
def test_up_without_a_chat_in_reach_tells_what_runs(
    urls: dict[str, str | None],
    told: list[str],
    stack: type[StackThatIsUp],
    project: Project,
    progress: Progress,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack.urls = urls
    nobody_is_asked(monkeypatch)
    assert cli.up(project, progress) == 0
    for words in [*told, WHAT_RUNS, "The stack is up ("]:
        assert words in out.getvalue()


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    for folder in ("tests/unit", "tests/integration", "tests/web"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def test_all_tests_run_the_quick_ones_first(tests: Path) -> None:
    assert selection(["-x"], tests) == ["-x", "tests/unit", "tests/integration", "tests/web"]


def test_named_tests_run_alone(tests: Path) -> None:
    assert selection(["tests/unit::test_one", "-x"], tests) == ["tests/unit::test_one", "-x"]


def test_the_value_of_an_option_is_no_selection(tests: Path) -> None:
    assert selection(["-k", "chat"], tests)[2:] == ["tests/unit", "tests/integration", "tests/web"]
