"""Commands, and maps that may be lists: `command`, `environment`, `labels`, `extra_hosts`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.components.config.compose.container_entry import problem, service


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("redis-server --save 60 1", ("redis-server", "--save", "60", "1")),
        ("sh -c 'echo \"a b\" && sleep 1'", ("sh", "-c", 'echo "a b" && sleep 1')),
        ('serve --name "two words"', ("serve", "--name", "two words")),
        ("echo $HOME *", ("echo", "$HOME", "*")),
        (
            ["serve", "--port", 8080, "--ratio", 0.5, True],
            ("serve", "--port", "8080", "--ratio", "0.5", "true"),
        ),
        ([], ()),
        ("", ()),
    ],
)
def test_a_command_is_split_as_by_a_shell_without_expansions(
    command: Any, words: tuple[str, ...]
) -> None:
    assert service(command=command).command == words
    assert service(entrypoint=command).entrypoint == words


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            "sh -c 'echo",
            'command: cannot be split into words: No closing quotation; found "sh -c \'echo"; '
            "allowed: balanced quotes, or a list of words",
        ),
        (7, "command: is not a command; found 7; allowed: text, or a list of words"),
        (
            ["serve", None],
            "command: has no value; found ['serve', None]; allowed: a value, or \"\" for an empty "
            "one",
        ),
        (
            ["serve", ["--port"]],
            "command: is not text; found ['serve', ['--port']]; allowed: text, in quotes",
        ),
    ],
)
def test_a_command_that_is_not_words_is_refused(command: Any, text: str) -> None:
    assert problem(command=command) == text


@pytest.mark.parametrize(
    ("environment", "variables"),
    [
        (
            {"SIZE": 48, "RATIO": 0.5, "DEBUG": True, "EMPTY": ""},
            {"SIZE": "48", "RATIO": "0.5", "DEBUG": "true", "EMPTY": ""},
        ),
        (["SIZE=48", "OPTIONS=a=b", "EMPTY="], {"SIZE": "48", "OPTIONS": "a=b", "EMPTY": ""}),
        ([], {}),
        ({}, {}),
    ],
)
def test_variables_are_a_map_or_a_list(environment: Any, variables: dict[str, str]) -> None:
    assert service(environment=environment).environment == variables
    assert service(labels=environment).labels == variables


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        (
            {"DEBUG": None},
            'environment.DEBUG: has no value; allowed: a value, or "" for an empty one',
        ),
        (
            ["DEBUG"],
            "environment: has DEBUG without a value; allowed: NAME=value",
        ),
        (
            ["SIZE=1", {"DEBUG": "1"}],
            "environment: has entry 1 without a value; allowed: NAME=value",
        ),
        (["=1"], "environment: has entry 0 without a value; allowed: NAME=value"),
        (
            ["SIZE=1", "SIZE=2"],
            "environment: has SIZE twice; allowed: each name once",
        ),
        (
            "SIZE=1",
            "environment: is not a map; allowed: a map, or a list such as [NAME=value]",
        ),
        (
            {"SIZE": [1]},
            "environment.SIZE: is not text; found [1]; allowed: text, in quotes",
        ),
    ],
)
def test_variables_of_another_form_are_refused(environment: Any, text: str) -> None:
    assert problem(environment=environment) == text


@pytest.mark.parametrize(
    "entry", ["DEBUG", "SIZE=1", {"ADMIN_PASSWORD": "hunter2"}, "ADMIN_PASSWORD: hunter2"]
)
def test_a_list_with_a_slip_does_not_show_secrets(entry: Any) -> None:
    text = problem(environment=["SIZE=1", "POSTGRES_PASSWORD=hunter2", entry])
    assert "hunter2" not in text
    assert "hunter2" not in problem(environment="POSTGRES_PASSWORD=hunter2")


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["host.docker.internal:host-gateway"], {"host.docker.internal": "host-gateway"}),
        (["db=10.0.0.7", "six:fd00::7"], {"db": "10.0.0.7", "six": "fd00::7"}),
        ({"db": "10.0.0.7"}, {"db": "10.0.0.7"}),
    ],
)
def test_extra_hosts_are_a_map_or_a_list(hosts: Any, expected: dict[str, str]) -> None:
    assert service(extra_hosts=hosts).extra_hosts == expected


def test_an_extra_host_without_an_address_is_refused() -> None:
    assert problem(extra_hosts=["db"]) == (
        "extra_hosts: has db without a value; allowed: db.example.com:10.0.0.7"
    )


def test_labels_of_the_stack_itself_are_refused() -> None:
    assert problem(labels={"llm-stack.loosened": "cap_add=NET_ADMIN"}) == (
        "labels: has a label of the stack itself; allowed: none with llm-stack."
    )


@pytest.mark.parametrize("alias", ["qdrant_node_1", "db.internal", "a-1"])
def test_an_alias_is_a_host_name(alias: str) -> None:
    assert service(aliases=[alias]).aliases == (alias,)


@pytest.mark.parametrize("alias", ["two words", "a/b", "", "-", "a:b"])
def test_an_alias_that_is_not_a_host_name_is_refused(alias: str) -> None:
    assert problem(aliases=[alias]) == (
        f"aliases.0: is not a valid host name; found {alias!r}; allowed: letters, digits, and . - _"
    )
