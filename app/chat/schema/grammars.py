"""Limits on grammars in GBNF, the form of llama.cpp.

llama-server parses nested groups, and rules that refer to each other, recursively, and follows each
way in which the text can start. A grammar that it does not accept passes here, unless it is too
large: llama-server reports what is wrong with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from app.chat.schema.checks import Problem, wrong_type

LONGEST = 64 * 1024
MOST_GROUPS = 50
MOST_RULES = 2000
MOST_TOKENS = 5000
LONGEST_CHAIN = 200
MOST_STARTS = 2000
MOST_REPEATED = 500_000

# Without backtracking (`++`, `*+`): the time is linear in the length of the text.
_TOKEN = re.compile(
    r"""
    (?P<define>[A-Za-z0-9-]++[ \t]*+::=)
  | (?P<name>[A-Za-z0-9-]++)
  | (?P<nothing>"")
  | (?P<text>"(?:[^"\\]|\\.)*+"? | \[(?:[^\]\\]|\\.)*+\]? | \. | !?<[^>]*+>?)
  | (?P<open>\()
  | (?P<close>\))
  | (?P<alternative>\|)
  | (?P<optional>[*?])
  | (?P<repeat>\{[^}]*+\}?)
  | (?P<comment>\#[^\n]*+)
    """,
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"\d+")


def grammar(value: Any, param: str) -> None:
    """Check a grammar in GBNF."""
    if type(value) is not str:
        raise wrong_type(param, "a string", value)
    if len(value) > LONGEST:
        raise Problem(param, f"has {len(value)} characters; allowed: {LONGEST}")
    rules = _Reader(param).read(value)
    _Starts(rules, param).check()


@dataclass
class _Item:
    """A part of an alternative: a text, the name of a rule, or a group of alternatives."""

    name: str = ""
    group: _Group | None = None
    optional: bool = False
    size: int = 1


@dataclass
class _Group:
    alternatives: list[list[_Item]] = field(default_factory=lambda: [[]])
    # Whether it matches the empty text; None if that is not computed yet.
    may_be_empty: bool | None = None

    def add(self, item: _Item) -> None:
        self.alternatives[-1].append(item)


class _Reader:
    def __init__(self, param: str) -> None:
        self._param = param
        self._repeated = 0

    def read(self, text: str) -> dict[str, _Group]:
        """The rules by name."""
        rules: dict[str, _Group] = {}
        groups = [_Group()]
        for count, token in enumerate(_TOKEN.finditer(text)):
            kind = token.lastgroup
            if count > MOST_TOKENS:
                raise Problem(self._param, f"has more than {MOST_TOKENS} parts")
            if kind == "define":
                groups = [_Group()]
                rules[token[0][:-3].strip()] = groups[0]
                if len(rules) > MOST_RULES:
                    raise Problem(self._param, f"has more than {MOST_RULES} rules")
            elif kind == "name":
                groups[-1].add(_Item(name=token[0]))
            elif kind in ("text", "nothing"):
                groups[-1].add(_Item(optional=kind == "nothing", size=len(token[0])))
            elif kind == "open":
                group = _Group()
                groups[-1].add(_Item(group=group))
                groups.append(group)
                if len(groups) > MOST_GROUPS:
                    raise Problem(self._param, f"has more than {MOST_GROUPS} nested groups")
            elif kind == "close" and len(groups) > 1:
                groups.pop()
            elif kind == "alternative":
                groups[-1].alternatives.append([])
            elif kind in ("optional", "repeat"):
                self._repeat(groups[-1].alternatives[-1], token[0])
        return rules

    def _repeat(self, alternative: list[_Item], operator: str) -> None:
        if not alternative:
            return
        numbers = [int(number[:9]) for number in _NUMBER.findall(operator)]
        # llama-server writes the repeated part as often.
        self._repeated += alternative[-1].size * max(numbers, default=0)
        if self._repeated > MOST_REPEATED:
            raise Problem(self._param, f"repeats more than {MOST_REPEATED} characters")
        if operator in ("*", "?") or numbers[:1] == [0]:
            alternative[-1].optional = True


class _Starts:
    """Counts the ways in which the text of each rule can start."""

    def __init__(self, rules: dict[str, _Group], param: str) -> None:
        self._rules = rules
        self._param = param
        self._known: dict[str, int] = {}

    def check(self) -> None:
        try:
            for name in self._rules:
                self._rule(name, 0)
        except RecursionError:
            raise Problem(self._param, "has groups and rules that are nested too deeply") from None

    def _is_empty(self, group: _Group) -> bool:
        if group.may_be_empty is None:
            # Until it is known, for a rule that refers to itself.
            group.may_be_empty = False
            group.may_be_empty = any(
                all(self._may_be_empty(item) for item in alternative)
                for alternative in group.alternatives
            )
        return group.may_be_empty

    def _may_be_empty(self, item: _Item) -> bool:
        if item.optional:
            return True
        group = item.group or self._rules.get(item.name)
        return group is not None and self._is_empty(group)

    def _rule(self, name: str, chain: int) -> int:
        if name in self._known:
            return self._known[name]
        if name not in self._rules:
            return 1
        if chain > LONGEST_CHAIN:
            raise Problem(self._param, f"has more than {LONGEST_CHAIN} rules that start the next")
        # A rule that starts with itself is not valid; llama-server reports it.
        self._known[name] = 1
        self._known[name] = self._count(self._rules[name], chain)
        return self._known[name]

    def _count(self, group: _Group, chain: int) -> int:
        count = 0
        for alternative in group.alternatives:
            for item in alternative:
                if item.group is not None:
                    count += self._count(item.group, chain)
                else:
                    count += self._rule(item.name, chain + 1) if item.name else 1
                if count > MOST_STARTS:
                    message = f"allows more than {MOST_STARTS} ways to start a text"
                    raise Problem(self._param, message)
                if not self._may_be_empty(item):
                    break
        return max(count, 1)
