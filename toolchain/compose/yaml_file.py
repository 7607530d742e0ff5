"""A YAML file of Compose: its content with the line of each key, and Compose's own tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from toolchain.compose.interpolation import InterpolationError, Variables
from toolchain.compose.problems import ComposeError, Place, problem
from toolchain.compose.text_file import read_text

# Far above any compose file; each alias is counted in full.
MOST_VALUES = 100_000
DEEPEST = 60
_YAML = "tag:yaml.org,2002:"


class Section(dict[str, Any]):
    """A mapping that has the line of each of its keys."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.places: dict[str, Place] = {}

    def put(self, key: str, value: object, place: Place) -> None:
        self[key] = value
        self.places[key] = place

    def place_of(self, key: str) -> Place:
        return self.places.get(key, self.place)


@dataclass(frozen=True)
class Reset:
    """`!reset`: the key of earlier files is removed."""


@dataclass(frozen=True)
class Override:
    """`!override`: the value replaces that of earlier files."""

    value: Any


class _Loader(yaml.SafeLoader):
    """YAML 1.2 as Compose reads it: `no` and `22:22` are text."""


_Loader.yaml_implicit_resolvers = {}


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _characters = [*_first.replace("\0", ""), *([""] if "\0" in _first else [])]
    _Loader.add_implicit_resolver(f"{_YAML}{_tag}", re.compile(f"(?:{_pattern})\\Z"), _characters)


def read_documents(path: Path, shown: str, variables: Variables) -> list[Section]:
    """The documents of a file; raises `ComposeError` for all that is not a mapping of YAML."""
    text = read_text(path, shown)
    try:
        loader = _Loader(text)
        reader = _Reader(shown, variables)
        documents = [reader.document(node) for node in _nodes(loader)]
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ComposeError(
            [problem(Place(shown, line), "", "has a character that YAML does not allow")]
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(shown, mark.line + 1 if mark else None)
        raise ComposeError([problem(place, "", f"is not YAML: {error.problem}")]) from None
    except RecursionError:
        raise ComposeError([problem(Place(shown), "", _TOO_DEEP)]) from None
    except (ValueError, OverflowError):
        # The scanner passes any number to chr().
        text = "is not YAML: found an escape that is not a character"
        raise ComposeError([problem(Place(shown, loader.line + 1), "", text)]) from None
    if reader.problems:
        raise ComposeError(reader.problems)
    if not documents:
        text, allowed = "is empty", "a mapping with services:"
        raise ComposeError([problem(Place(shown), "", text, allowed=allowed)])
    return documents


_TOO_DEEP = f"is nested too deeply; allowed: {DEEPEST} levels"


def _nodes(loader: _Loader) -> Iterator[yaml.Node]:
    while loader.check_node():
        node = loader.get_node()
        empty = isinstance(node, yaml.ScalarNode) and not node.value
        if node is not None and not empty:
            yield node


class _Reader:
    """Makes values of nodes, and collects problems."""

    def __init__(self, file: str, variables: Variables) -> None:
        self._file = file
        self._variables = variables
        self.problems: list[str] = []
        self._above: list[int] = []
        """Ids of the nodes that contain the present one."""
        self._values = 0

    def document(self, node: yaml.Node) -> Section:
        value = self._value(node, "")
        if isinstance(value, Section):
            return value
        if not self.problems:
            text, allowed = "is not a mapping", "a mapping with services:"
            self._report(node, "", text, allowed=allowed)
        return Section(self._place(node))

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._file, node.start_mark.line + 1)

    def _report(self, node: yaml.Node, key: str, text: str, allowed: str | None = None) -> None:
        self.problems.append(problem(self._place(node), key, text, allowed=allowed))

    def _value(self, node: yaml.Node, key: str) -> Any:
        self._values += 1
        if self._values > MOST_VALUES:
            text = f"holds more than {MOST_VALUES} values, each alias counted in full"
            raise ComposeError([problem(self._place(node), key, text)])
        if id(node) in self._above:
            self._report(node, key, "the value contains itself, by an alias")
            return None
        if len(self._above) > DEEPEST:
            raise ComposeError([problem(self._place(node), key, _TOO_DEEP)])
        self._above.append(id(node))
        try:
            return self._tagged(node, key)
        finally:
            self._above.pop()

    def _tagged(self, node: yaml.Node, key: str) -> Any:
        if node.tag == "!reset":
            return Reset()
        if node.tag == "!override":
            return Override(self._content(node, key))
        if node.tag.startswith("!"):
            self._report(node, key, f"has an unknown tag {node.tag}", "!reset, !override")
            return None
        return self._content(node, key)

    def _content(self, node: yaml.Node, key: str) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._section(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, f"{key}.{at}") for at, child in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, key)

    def _section(self, node: yaml.MappingNode, path: str) -> Section:
        section, merged = Section(self._place(node)), Section(self._place(node))
        for key, value in node.value:
            if key.tag == f"{_YAML}merge":
                self._merge(value, merged, path)
            elif not isinstance(key, yaml.ScalarNode):
                self._report(key, path, "the key is not text", "text")
            elif key.value in section:
                self._report(key, path, f"the key {key.value!r} is given twice")
            else:
                below = f"{path}.{key.value}" if path else key.value
                section.put(key.value, self._value(value, below), self._place(key))
        for name, value in merged.items():
            if name not in section:
                section.put(name, value, merged.place_of(name))
        return section

    def _merge(self, node: yaml.Node, merged: Section, path: str) -> None:
        """Of several mappings that `<<` names, the first one's values count."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for one in nodes:
            value = self._value(one, path)
            if not isinstance(value, Section):
                self._report(one, path, "<< does not lead to a mapping", "a mapping")
                continue
            for name, inner in value.items():
                if name not in merged:
                    merged.put(name, inner, value.place_of(name))

    def _scalar(self, node: yaml.ScalarNode, key: str) -> Any:
        kind = node.tag.removeprefix(_YAML)
        if make := _SCALARS.get(kind):
            try:
                return make(node.value)
            except ValueError:
                return node.value
        try:
            node.value.encode()
            return self._variables.read(node.value)
        except UnicodeEncodeError:
            self._report(node, key, "has half a character, by an escape")
        except InterpolationError as error:
            self._report(node, key, str(error))
        return None


def _integer(text: str) -> int | str:
    # Python limits the digits of numbers that it reads; none of Compose's has so many.
    if len(text) > 30:
        return text
    return int(text, 0) if text.lower().startswith(("0x", "0o")) else int(text)


_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda text: None,
    "bool": lambda text: text.lower() == "true",
    "int": _integer,
    "float": float,
}
