"""The logs of all services: their order, their form, and refusals."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import pytest

from toolchain.commands.logs import LineWriter, StackLogs
from toolchain.project import Project
from toolchain.terminal.errors import SetupError

Program = Callable[[str, str], None]
DOCKER = """
case "$*" in
    "service ls"*) exit 1 ;;
    "ps "*) [ "$FAILS" ] && {{ echo "cannot connect" >&2; exit 1; }}; echo c1; echo c2; echo c3 ;;
    "container inspect"*) printf 'c1 chat\\nc2 model\\nc3 \\n' ;;
    "logs"*c1) printf '2026-11-28T05:00:01.5Z one\\n2026-11-28T05:00:03.5Z three\\n' ;;
    "logs"*c2) printf '2026-11-28T05:00:02.5Z two\\n{more}' ;;
esac
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def show(project: Project, program: Program) -> Callable[..., str]:
    def run(*services: str, more: str = "", fails: str = "") -> str:
        program("docker", DOCKER.format(more=more))
        out = io.StringIO()
        environment = {"PATH": f"{project.bin}:{os.environ['PATH']}", "FAILS": fails}
        StackLogs("it", services, environment, out).show(tail="20", since=None, follow=False)
        return out.getvalue()

    return run


@pytest.fixture(autouse=True)
def path(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{project.bin}:{os.environ['PATH']}")


def test_lines_of_all_services_are_in_the_order_of_their_time(show: Callable[..., str]) -> None:
    assert show().splitlines() == [
        "chat  | 2026-11-28T05:00:01.5Z one",
        "model | 2026-11-28T05:00:02.5Z two",
        "chat  | 2026-11-28T05:00:03.5Z three",
    ]


def test_a_line_without_a_time_stays_behind_the_line_before(show: Callable[..., str]) -> None:
    lines = show(more="and more\\n").splitlines()
    assert lines[1:3] == ["model | 2026-11-28T05:00:02.5Z two", "model | and more"]


def test_one_service_is_shown_alone(show: Callable[..., str]) -> None:
    assert show("model") == "model | 2026-11-28T05:00:02.5Z two\n"


def test_an_unknown_service_is_refused_with_those_there_are(show: Callable[..., str]) -> None:
    with pytest.raises(SetupError, match=r"no container of nope; it has chat, model\."):
        show("nope")


def test_an_engine_that_cannot_be_reached_is_reported(show: Callable[..., str]) -> None:
    with pytest.raises(SetupError, match="cannot connect"):
        show(fails="yes")


def test_a_log_line_cannot_control_the_terminal() -> None:
    out = io.StringIO()
    writer = LineWriter(out, {})
    writer.expect(["chat"])
    writer.write("chat", "2026-11-28T05:00:01.123456789Z \x1b[31mred\x1b[0m \x1b]0;title\x07\ttab")
    assert (
        out.getvalue()
        == "chat | 2026-11-28T05:00:01.123Z red \N{REPLACEMENT CHARACTER}]0;title\N{REPLACEMENT CHARACTER}\ttab\n"
    )


def test_each_service_has_its_colour_on_a_terminal() -> None:
    out = Terminal()
    writer = LineWriter(out, {})
    writer.expect(["chat", "model"])
    writer.write("chat", "one")
    writer.write("model", "two")
    assert out.getvalue() == "\033[36mchat \033[0m | one\n\033[33mmodel\033[0m | two\n"
    plain = Terminal()
    writer = LineWriter(plain, {"NO_COLOR": "1"})
    writer.expect(["chat"])
    writer.write("chat", "one")
    assert plain.getvalue() == "chat | one\n"
