"""A YAML file that a user wrote: its content, its lines, and what keeps it from being read."""

from __future__ import annotations

import codecs
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

# Windows PowerShell 5 writes UTF-16 by `>`. The YAML library itself skips the mark of UTF-8.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Far above any catalogue, and low enough that what reads the content afterwards takes no second.
MOST_VALUES = 100_000
DEEPEST = 100

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


class Problem(NamedTuple):
    """What is wrong, and on which line; None where it concerns the whole file."""

    line: int | None
    text: str


class UnreadableError(Exception):
    """Why a file is not a YAML document that could be used."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__(*(problem.text for problem in problems))


@dataclass(frozen=True)
class YamlDocument:
    """The content of a file, in which every key is text and no value contains itself."""

    content: object
    root: yaml.Node | None

    def line(self, location: Iterable[object]) -> int:
        """The line of the deepest node that the keys and indexes of a location lead to."""
        line, node = _line(self.root) if self.root else 1, self.root
        for part in location:
            step = _child(node, part)
            if step is None:
                break
            line, node = step
        return line


def read_document(path: Path) -> YamlDocument:
    """Read a file with one YAML document, in UTF-8 or in UTF-16 with a byte order mark.

    Keys that `<<` merges give way to those of the mapping itself. Raises `UnreadableError` for
    whatever else a file may hold.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableError(Problem(None, f"cannot be read: {error.strerror}")) from None
    text = _decode(data)
    try:
        loader = _Loader(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        found = f"U+{ord(text[error.position]):04X}"
        raise UnreadableError(
            Problem(
                line,
                f"has a character that YAML does not allow; found {found}, "
                "allowed: text in UTF-8, or in UTF-16 with a byte order mark",
            )
        ) from None
    try:
        return _read(loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UnreadableError(Problem(line, f"is not YAML: {error.problem}")) from None
    except RecursionError:
        raise UnreadableError(Problem(loader.line + 1, _too_deep())) from None
    except (ValueError, OverflowError):
        # The scanner passes any number to chr().
        problem = "is not YAML: found an escape that is not a character"
        raise UnreadableError(Problem(loader.line + 1, problem)) from None


def _decode(data: bytes) -> str:
    mark, encoding = next(
        (known for known in _BYTE_ORDER_MARKS if data.startswith(known[0])), (b"", "utf-8")
    )
    data = data.removeprefix(mark)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(encoding).count("\n") + 1
        raise UnreadableError(
            Problem(
                line,
                f"is not text in {encoding.upper()}; found {data[error.start : error.end]!r}, "
                "allowed: UTF-8, or UTF-16 with a byte order mark; save the file as UTF-8",
            )
        ) from None


class _Loader(yaml.SafeLoader):
    """Reports a value that it cannot construct with its line, whatever the library raises."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int):
                # One of thousands of digits can be read from hexadecimal, and never be printed.
                str(value)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception:
            # Besides ValueError, for month 13, also KeyError, IndexError and AttributeError.
            raise ConstructorError(
                problem=f"not a valid {_kind(node)}; found {reprlib.repr(node.value)}, "
                "allowed: a valid one, or text in quotes",
                problem_mark=node.start_mark,
            ) from None
        return value


def _read(loader: _Loader) -> YamlDocument:
    root = loader.get_node() if loader.check_node() else None
    second = loader.get_node() if loader.check_node() else None
    if second is not None:
        problem = "a second document begins; allowed: one in a file"
        raise UnreadableError(Problem(_line(second), problem))
    if root is None:
        return YamlDocument(None, None)
    # Before the content is made: merges are resolved in the nodes themselves then, and aliases
    # that multiply would take all memory.
    if problems := _Inspection().problems_of(root):
        raise UnreadableError(*problems)
    return YamlDocument(loader.construct_document(root), root)


class _Extent(NamedTuple):
    """The size of what a node expands to, each alias counted in full."""

    values: int
    levels: int


class _Inspection:
    """Looks for what the YAML library accepts, or reports only by a traceback."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._extents: dict[int, _Extent] = {}
        """By a node's id, since aliases share the node."""
        self._above: set[int] = set()
        """Ids of the nodes that contain the present one."""

    def problems_of(self, root: yaml.Node) -> list[Problem]:
        """All problems, in the order of their lines."""
        self._extent(root)
        return sorted(self._problems, key=lambda problem: problem.line or 0)

    def _report(self, node: yaml.Node, text: str) -> None:
        self._problems.append(Problem(_line(node), text))

    def _extent(self, node: yaml.Node) -> _Extent:
        if known := self._extents.get(id(node)):
            return known
        if id(node) in self._above:
            self._report(node, "the value contains itself, by an alias")
            return _Extent(0, 0)
        self._above.add(id(node))
        inner = [self._extent(child) for child in self._children(node)]
        self._above.discard(id(node))
        values = 1 + sum(extent.values for extent in inner)
        levels = 1 + max((extent.levels for extent in inner), default=0)
        if values > MOST_VALUES and all(extent.values <= MOST_VALUES for extent in inner):
            self._report(node, f"holds more than {MOST_VALUES} values, each alias counted in full")
        if levels == DEEPEST + 1:
            self._report(node, _too_deep())
        self._extents[id(node)] = _Extent(values, levels)
        return self._extents[id(node)]

    def _children(self, node: yaml.Node) -> Iterable[yaml.Node]:
        if node.tag not in _Loader.yaml_constructors:
            self._report(
                node, f"the tag {node.tag!r} is unknown; remove it, or put the value in quotes"
            )
        if isinstance(node, yaml.ScalarNode):
            self._check_text(node)
            return []
        if isinstance(node, yaml.MappingNode):
            self._check_keys(node)
            return [value for _, value in node.value]
        return [*node.value]

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key, _ in node.value:
            if key.tag == _MERGE:
                continue
            if not isinstance(key, yaml.ScalarNode):
                self._report(key, f"the key is not text; found a {_kind(key)}, allowed: text")
            elif key.tag != _TEXT:
                self._report(
                    key,
                    f"the key is not text; found {reprlib.repr(key.value)}, read as {_kind(key)}, "
                    "allowed: text, here in quotes",
                )
            elif key.value in seen:
                self._report(key, f"the key {key.value!r} is given twice")
            else:
                self._check_text(key)
                seen.add(key.value)

    def _check_text(self, node: yaml.ScalarNode) -> None:
        try:
            node.value.encode()
        except UnicodeEncodeError:
            self._report(node, "has half a character, by an escape; allowed: the character itself")


def _child(node: yaml.Node | None, part: object) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        # Merged keys come before the mapping's own, which override them.
        for key, value in reversed(node.value):
            if key.value == str(part):
                return _line(key), value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        value = node.value[part]
        return _line(value), value
    return None


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _kind(node: yaml.Node) -> str:
    """The last part of a tag, such as `int`, `timestamp` or `map`."""
    return node.tag.rpartition(":")[2]


def _too_deep() -> str:
    return f"is nested too deeply; allowed: {DEEPEST} levels"
