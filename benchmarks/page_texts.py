"""The texts that the benchmark of the chat page streams and stores, in pieces like tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

SENTENCE = (
    "the model writes one word after another and every sentence ends after some of them so that "
    "a paragraph has several lines on a wide screen and the next one begins below"
)
WORDS = SENTENCE.split()
CODE = (
    "def total(values: list[int]) -> int:\n",
    "    # Adds the values that are not negative.\n",
    '    names = {"first": 1, "second": 2}\n',
    "    return sum(value for value in values if value >= names['first'])\n",
)
TABLE_HEAD = "| Number | Name | Size | Remark |\n|---:|---|:---:|---|\n"
FORMULA = "\\[ \\int_0^1 \\frac{x^2}{1 + x}\\,dx = \\sum_{k=1}^{n} \\sqrt{k} \\]"
RICH = (
    "A formula $x^2 + y_i$ and\n\n"
    + FORMULA
    + "\n\n```python\n"
    + "".join(CODE)
    + "```\n\n- a list\n- with *two* items\n\n"
)


def prose(every: int = 60) -> Iterator[str]:
    """Words, with a new paragraph after each `every`."""
    number = 0
    while True:
        number += 1
        word = WORDS[number % len(WORDS)]
        yield f" {word}.\n\n" if number % every == 0 else f" {word}"


def _paragraph() -> Iterator[str]:
    yield from prose(10_000_000)


def _code() -> Iterator[str]:
    yield "```python\n"
    while True:
        for line in CODE:
            yield from _tokens(line)


def _list() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield from _tokens(f"- item {number} of *the list* with some words\n")


def _table() -> Iterator[str]:
    yield from _tokens(TABLE_HEAD)
    number = 0
    while True:
        number += 1
        yield from _tokens(row(number))


def _math() -> Iterator[str]:
    while True:
        yield from _tokens(f"A formula $x^2 + y_i$ and\n\n{FORMULA}\n\n")


def row(number: int) -> str:
    """A line of the table."""
    return f"| {number} | **name** {number} | {number * 17 % 1000} | a remark with `code` |\n"


def _tokens(text: str) -> Iterator[str]:
    """Pieces of about four characters."""
    return (text[at : at + 4] for at in range(0, len(text), 4))


STREAMS: dict[str, Callable[[], Iterator[str]]] = {
    "prose": prose,
    "paragraph": _paragraph,
    "code": _code,
    "list": _list,
    "table": _table,
    "math": _math,
}


def pieces(kind: str, count: int) -> list[str]:
    """The first tokens of a text, or the table with this number of rows, one piece each."""
    if kind == "rows":
        return [TABLE_HEAD, *(row(number) for number in range(1, count + 1))]
    return list(islice(STREAMS[kind](), count))
