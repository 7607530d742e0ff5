"""The Tab key after `./dev`, asked in the shells themselves."""

from __future__ import annotations

import subprocess

import pytest

from toolchain.commands.cli import main, parser
from toolchain.commands.completion import SCRIPT, _commands, script


def offered(*words: str) -> list[str]:
    """What bash offers in place of the last word."""
    ask = f'source {SCRIPT}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _llm_stack_dev; '
    answer = subprocess.run(
        ["bash", "-c", f'{ask} printf "%s\\n" "${{COMPREPLY[@]}}"', "bash", *words],
        check=True,
        capture_output=True,
        text=True,
    )
    return answer.stdout.split()


def test_the_script_is_up_to_date() -> None:
    assert SCRIPT.read_text(encoding="utf-8") == script(), "run: python3 -m toolchain.completion"


def test_commands_are_offered_by_their_beginning() -> None:
    assert offered("./dev", "do") == ["down", "doctor"]
    assert set(offered("./dev", "")) == {*_commands(parser()), "--help"}


def test_options_are_offered_after_their_command() -> None:
    assert offered("./dev", "down", "--v") == ["--volumes"]
    assert offered("./dev", "rollback", "--s") == ["--stack"]
    assert offered("./dev", "up", "--v") == []


def test_zsh_knows_the_completion_too() -> None:
    asked = f"source {SCRIPT} && whence -w _llm_stack_dev && print $_comps[./dev]"
    answer = subprocess.run(["zsh", "-fc", asked], check=True, capture_output=True, text=True)
    assert "_llm_stack_dev: function" in answer.stdout
    assert "_bash_complete" in answer.stdout


@pytest.mark.parametrize("command", sorted(_commands(parser())))
def test_every_command_helps(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"./dev {command}" in capsys.readouterr().out
