"""Makes completion.sh: what the Tab key offers after `./dev`, in bash and zsh.

Made anew by `python3 -m toolchain.completion` when a command changes; a test says when. A file, so
that a new shell need not start Python for it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from toolchain.commands.cli import parser

SCRIPT = Path(__file__).parent / "completion.sh"

FRAME = """\
# Made by `python3 -m toolchain.completion`: what the Tab key offers after ./dev, in bash and zsh.
_llm_stack_dev() {{
    local offered="{commands}"
    if [ "$COMP_CWORD" -gt 1 ]; then
        case "${{COMP_WORDS[1]}}" in
{cases}
            *) offered="" ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$offered" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
if [ -n "${{ZSH_VERSION:-}}" ]; then
    whence compdef > /dev/null || {{ autoload -Uz compinit && compinit; }}
    autoload -Uz bashcompinit && bashcompinit
fi
complete -o default -F _llm_stack_dev ./dev
"""


def script() -> str:
    """The script for the commands and options that the parser knows now."""
    commands = _commands(parser())
    cases = "\n".join(
        f'            {name}) offered="{" ".join(_options(command))}" ;;'
        for name, command in commands.items()
    )
    return FRAME.format(commands=" ".join([*commands, "--help"]), cases=cases)


def _commands(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (commands,) = [
        action for action in top._actions if isinstance(action, argparse._SubParsersAction)
    ]
    return dict(commands.choices)


def _options(command: argparse.ArgumentParser) -> list[str]:
    return sorted(
        option
        for action in command._actions
        for option in action.option_strings
        if option.startswith("--")
    )


if __name__ == "__main__":
    SCRIPT.write_text(script(), encoding="utf-8")
