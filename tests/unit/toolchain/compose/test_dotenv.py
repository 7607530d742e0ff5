"""Files of variables."""

from __future__ import annotations

import pytest

from tests.unit.toolchain.compose.conftest import Files
from toolchain.compose.dotenv import read_variables
from toolchain.compose.problems import ComposeError


def test_quotes_comments_and_variables(write: Files) -> None:
    path = write(
        ".env",
        r"""
        # a comment
        PLAIN=value   # and another
        export EXPORTED=yes
        SINGLE='$PLAIN # text'
        DOUBLE="${PLAIN}\n$SHELL_ONE"
        EMPTY=
        HASH=a#b
        LATER=${EXPORTED}-${MISSING:-none}
        MANY="first
        second"
        """,
    )
    assert read_variables(path, ".env", {"SHELL_ONE": "shell"}) == {
        "PLAIN": "value",
        "EXPORTED": "yes",
        "SINGLE": "$PLAIN # text",
        "DOUBLE": "value\nshell",
        "EMPTY": "",
        "HASH": "a#b",
        "LATER": "yes-none",
        "MANY": "first\nsecond",
    }


def test_a_line_that_is_no_variable_is_a_problem_without_its_text(write: Files) -> None:
    path = write(".env", "GOOD=1\nsomething hunter2\n")
    with pytest.raises(ComposeError) as caught:
        read_variables(path, ".env", {})
    assert str(caught.value) == ".env:2: is not a variable; allowed: NAME=value"
