"""Compose's variables in text."""

from __future__ import annotations

import pytest

from toolchain.compose.interpolation import InterpolationError, Reference, Variables

VALUES = {"SET": "value", "EMPTY": "", "OTHER": "other"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$SET/x", "value/x"),
        ("${SET}", "value"),
        ("a${UNSET}b", "ab"),
        ("${UNSET:-default}", "default"),
        ("${UNSET-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${EMPTY-default}", ""),
        ("${SET:-default}", "value"),
        ("${SET:+alternative}", "alternative"),
        ("${UNSET:+alternative}", ""),
        ("${EMPTY:+alternative}", ""),
        ("${EMPTY+alternative}", "alternative"),
        ("${SET:?must be set}", "value"),
        ("${UNSET:-${OTHER}}", "other"),
        ("${UNSET:-${ALSO:-${OTHER}-x}}", "other-x"),
        ("${UNSET:-http://localhost:80/}", "http://localhost:80/"),
        ("$$SET and $${SET}", "$SET and ${SET}"),
        ("100$$", "100$"),
    ],
)
def test_each_form(text: str, expected: str) -> None:
    variables = Variables(VALUES)
    assert variables.plain(variables.read(text)) == expected


@pytest.mark.parametrize("text", ["$", "a $ b", "${", "${}", "${SET", "${SET!x}", "${-x}", "$1"])
def test_a_wrong_form_is_an_error(text: str) -> None:
    with pytest.raises(InterpolationError):
        Variables(VALUES).read(text)


def test_a_text_keeps_its_variables_apart_from_what_is_around_them() -> None:
    variables = Variables(VALUES)
    assert variables.parts(variables.read("a-${SET}-${UNSET}-${NO:-d}")) == [
        "a-",
        Reference("SET", "value"),
        "-",
        Reference("UNSET", None),
        "-",
        Reference("NO", "d", from_default=True),
    ]


def test_nesting_without_end_is_an_error() -> None:
    with pytest.raises(InterpolationError, match="nests"):
        Variables({}).read("${A:-" * 500 + "x" + "}" * 500)


def test_marks_in_a_file_are_an_error() -> None:
    with pytest.raises(InterpolationError, match="private use"):
        Variables({}).read("\U0010e0000\U0010e001")
