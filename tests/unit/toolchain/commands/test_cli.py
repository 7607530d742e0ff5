"""The commands of `./dev`: arguments, output, exit codes."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from toolchain.commands import cli
from toolchain.commands.checks import Checks
from toolchain.project import Project
from toolchain.stack import containers, first_answer
from toolchain.stack.containers import Container
from toolchain.stack.first_answer import KeyNeeded, NoModel, Reply
from toolchain.stack.stack import DevStack
from toolchain.steps import Finding
from toolchain.terminal.progress import Progress, Step


def test_no_command_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "./dev" in capsys.readouterr().out


@pytest.mark.parametrize("args", [["sideways"], ["up", "--faster"], ["doctor", "extra"]])
def test_unknown_arguments_are_an_error(args: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(args)
    assert end.value.code == 2


def test_missing_permission_is_an_error_with_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def doctor(project: Project, progress: Progress) -> NoReturn:
        raise PermissionError(13, "Permission denied", "/checkout/.state/pulumi")

    monkeypatch.setattr(cli, "doctor", doctor)
    monkeypatch.setattr(cli, "Progress", lambda: Progress(sys.stdout))
    assert cli.main(["doctor"]) == 1
    output = capsys.readouterr().out
    assert "no permission for /checkout/.state/pulumi" in output
    assert "sudo chown -R $(id -u)" in output


class Present:
    """A setup step with nothing to do."""

    title = "Thing"

    def __init__(self, project: Project) -> None: ...

    def find(self) -> Finding:
        return Finding(True, "installed")


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
def test_doctor_fails_for_problems_only(
    project: Project,
    progress: Progress,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    info: dict[str, Any],
    code: int,
    line: str,
) -> None:
    monkeypatch.setattr(cli, "setup_steps", lambda project: [])
    for step in ("LocalState", "Browsers", "CheckingPrograms"):
        monkeypatch.setattr(cli, step, Present)
    monkeypatch.setattr(containers, "list_containers", list)
    monkeypatch.setattr(cli, "read_engine_info", lambda: info)
    assert cli.doctor(project, progress) == code
    assert line in out.getvalue()


def test_the_containers_of_another_checkout_are_not_this_ones(
    project: Project, progress: Progress, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = (
        containers.Container(
            id=name, name=f"chat-{name}", service="chat", status="running", health=None, restarts=0
        )
        for name in ("own", "other")
    )
    monkeypatch.setattr(containers, "list_containers", lambda: [own, other])
    stack = DevStack(project, progress)
    monkeypatch.setattr(DevStack, "exists", True)
    monkeypatch.setattr(stack, "containers", lambda: [own])
    cli.print_containers(stack, progress)
    mine, others = out.getvalue().splitlines()
    assert mine.split(maxsplit=1) == ["stack", "chat-own: running"]
    assert "Another checkout has a stack dev" in others
    assert others.endswith(": chat-other")


def test_down_without_a_stack_succeeds(
    project: Project, progress: Progress, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.down(project, progress, volumes=False) == 0


HERE = "http://127.0.0.1:8080"
LIST_COMMAND = "docker ps --filter label=llm-stack.stack=dev"


class RunningStack:
    """A fake dev stack after a successful `pulumi up`."""

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
def stack(monkeypatch: pytest.MonkeyPatch) -> type[RunningStack]:
    monkeypatch.setattr(cli, "setup_steps", lambda project: [])
    monkeypatch.setattr(cli, "DevStack", RunningStack)
    return RunningStack


def fake_chat(monkeypatch: pytest.MonkeyPatch, outcome: Reply | type[Exception]) -> None:
    def wait(url: str, *_: object) -> Reply:
        assert url == HERE
        if isinstance(outcome, Reply):
            return outcome
        raise outcome

    monkeypatch.setattr(first_answer, "wait", wait)


def no_request_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(*_: object) -> NoReturn:
        pytest.fail("no request expected")

    monkeypatch.setattr(first_answer, "wait", wait)


def test_up_prints_the_first_completion(
    stack: type[RunningStack],
    project: Project,
    progress: Progress,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack.urls = {"chat-interface": HERE, "phi-inference": None}
    fake_chat(
        monkeypatch, Reply(model="phi", placeholder="smollm2-135m (no hub)", text="Hello", chunks=2)
    )
    assert cli.up(project, progress) == 0
    assert "      Hello\n" in out.getvalue()
    assert "This is the demo model smollm2-135m (no hub), in place of phi." in out.getvalue()
    assert f"The chat is at {HERE} (" in out.getvalue()


def test_up_without_models_prints_how_to_add_one(
    stack: type[RunningStack],
    project: Project,
    progress: Progress,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack.urls = {"chat-interface": HERE}
    fake_chat(monkeypatch, NoModel)
    assert cli.up(project, progress) == 0
    assert "the chat is running without models" in out.getvalue()
    command = 'pulumi config set services \'["chat-interface", "phi-inference"]\' && pulumi up'
    assert command in out.getvalue()
    assert f"The chat is at {HERE} (" in out.getvalue()


def test_up_of_a_chat_with_api_keys_sends_no_request(
    stack: type[RunningStack],
    project: Project,
    progress: Progress,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack.urls = {"chat-interface": HERE, "phi-inference": None}
    fake_chat(monkeypatch, KeyNeeded)
    assert cli.up(project, progress) == 0
    assert "it requires an API key (llm-stack:apiKeys)" in out.getvalue()


@pytest.mark.parametrize(
    ("urls", "lines"),
    [
        (
            {"phi-inference": None, "qwen-inference": "http://127.0.0.1:8081"},
            [
                "The stack has no chat.",
                "Running: phi-inference, qwen-inference at http://127.0.0.1:8081.",
            ],
        ),
        (
            {"chat-interface": None, "phi-inference": None},
            [
                "chat-interface has no host port (llm-stack:hostPorts.chat-interface)",
                "Running: chat-interface, phi-inference.",
            ],
        ),
        ({}, ["The stack has no chat.", "Running: only the monitor."]),
    ],
    ids=["a model alone", "a chat without a port", "no service"],
)
def test_up_without_a_reachable_chat_lists_the_services(
    urls: dict[str, str | None],
    lines: list[str],
    stack: type[RunningStack],
    project: Project,
    progress: Progress,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack.urls = urls
    no_request_is_sent(monkeypatch)
    assert cli.up(project, progress) == 0
    for words in [*lines, LIST_COMMAND, "The stack is running ("]:
        assert words in out.getvalue()


@pytest.mark.parametrize(
    "command", ["up", "down", "rollback", "install", "check", "test", "doctor"]
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    assert f"./dev {command}" in capsys.readouterr().out


@pytest.fixture
def checks(project: Project, progress: Progress) -> Checks:
    """A checkout whose tools log their arguments; the tool in the variable FAIL fails."""
    for folder in ("tests/unit", "tests/integration", "tests/web"):
        (project.root / folder).mkdir(parents=True)
    programs = project.venv / "bin"
    programs.mkdir(parents=True)
    for name in ("ruff", "mypy", "lint-imports", "pytest"):
        script = f'#!/bin/sh\necho {name} "$@" >>"$LOG"\n[ "$FAIL" != {name} ]\n'
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    return Checks(project, progress, {"LOG": str(project.root / "log"), "FAIL": "none"})


def calls(checks: Checks) -> list[str]:
    return (checks.project.root / "log").read_text().splitlines()


def test_check_runs_the_linters_and_the_unit_tests(checks: Checks) -> None:
    assert checks.quick([]) == 0
    *linters, pytest_call = calls(checks)
    assert [call.split()[0] for call in linters] == ["ruff", "ruff", "mypy", "lint-imports"]
    assert pytest_call == "pytest -n auto tests/unit"


def test_test_runs_every_folder_with_every_marker(checks: Checks) -> None:
    assert checks.full(["-x"]) == 0
    assert calls(checks)[-1] == (
        "pytest -n 3 --dist loadfile --no-loadscope-reorder -m  "
        "tests/integration tests/web tests/unit -x"
    )


@pytest.mark.parametrize("command", [Checks.quick, Checks.full])
def test_given_tests_run_alone(checks: Checks, command: Callable[[Checks, list[str]], int]) -> None:
    assert command(checks, ["tests/unit::test_one", "-x"]) == 0
    assert calls(checks)[-1].endswith("tests/unit::test_one -x")


def test_the_tests_keep_the_bytecode_of_python(checks: Checks) -> None:
    script = checks.project.venv / "bin" / "pytest"
    script.write_text('#!/bin/sh\nprintenv >>"$LOG"\n')
    environment = {**checks.environment, "PYTHONDONTWRITEBYTECODE": "1"}
    assert Checks(checks.project, checks.progress, environment).full([]) == 0
    assert "FAIL=none" in calls(checks)
    assert "PYTHONDONTWRITEBYTECODE=1" not in calls(checks)


def test_value_of_an_option_does_not_select_tests(checks: Checks) -> None:
    assert checks.full(["-k", "chat"]) == 0
    assert "tests/integration tests/web tests/unit -k chat" in calls(checks)[-1]


def test_failed_linter_fails_after_the_tests(checks: Checks) -> None:
    failing = Checks(checks.project, checks.progress, {**checks.environment, "FAIL": "mypy"})
    assert failing.quick([]) == 1
    assert calls(checks)[-1].startswith("pytest")


def test_default_path_does_not_load_the_offline_package() -> None:
    code = "import sys, toolchain.commands.cli; print([m for m in sys.modules if 'offline' in m])"
    root = Path(cli.__file__).parents[2]
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "[]\n"
