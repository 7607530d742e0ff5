"""YAML as Compose reads it, and what is not YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.toolchain.compose.conftest import Loading
from toolchain.compose.problems import ComposeError
from toolchain.compose.project import load_project
from toolchain.compose.yaml_file import DEEPEST, MOST_VALUES


def test_words_of_yaml_1_1_are_text(load: Loading) -> None:
    service = load(
        """
        services:
          a:
            image: a
            restart: no
            ports: [22:22]
            environment: {ON: on, YES: yes, TRUE: true, NUMBER: 8080, DAY: 2026-01-31}
        """
    ).services["a"]
    assert service["restart"] == "no"
    assert [(port.host, port.container) for port in service["ports"]] == [(22, 22)]
    assert service["environment"] == {
        "ON": "on",
        "YES": "yes",
        "TRUE": "true",
        "NUMBER": "8080",
        "DAY": "2026-01-31",
    }


def test_anchors_and_merges(load: Loading) -> None:
    project = load(
        """
        x-one: &one {image: a, restart: always}
        x-two: &two {image: b, user: "1"}
        services:
          a: {<<: *one, image: own}
          b: {<<: [*one, *two], environment: {A: 1}}
        """
    )
    assert project.services["a"]["image"] == "own"
    assert project.services["a"]["restart"] == "always"
    assert project.services["b"]["image"] == "a"
    assert project.services["b"]["user"] == "1"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "compose.yml: is empty"),
        (b"# only a comment\n", "compose.yml: is empty"),
        (b"- a\n- b\n", "compose.yml:1: is not a mapping"),
        (b"text\n", "compose.yml:1: is not a mapping"),
        (b"42\n", "compose.yml:1: is not a mapping"),
        (b"services: {}\n", "services: has no service"),
        (b"services: [a]\n", "compose.yml:1: services: has a wrong form; found a list"),
        (b"services:\n  a: text\n", "compose.yml:2: services.a: has a wrong form; found text"),
        (b"services:\n\ta: {}\n", "compose.yml:2: is not YAML"),
        (b"services: {a: *no}\n", "compose.yml:1: is not YAML: found undefined alias"),
        (b"services:\n  a: {image: x}\n  a: {image: y}\n", "compose.yml:3: services: the key 'a'"),
        (
            b"services:\n  a: {image: !secret x}\n",
            "compose.yml:2: services.a.image: has an unknown",
        ),
        (b"services:\n  a: {image: '${'}\n", "compose.yml:2: services.a.image: has ${ without"),
        (b"services:\n  a: {image: 'a$ b'}\n", "compose.yml:2: services.a.image: has a $"),
        (b"services:\n  a: {ports: [x:y]}\n", "compose.yml:2: services.a.ports: has a wrong form"),
        (b"services:\n  a: {ports: {a: b}}\n", "compose.yml:2: services.a.ports: has a wrong form"),
        (b"services:\n  a: {volumes: x}\n", "compose.yml:2: services.a.volumes: has a wrong form"),
        (b"services:\n  a: {volumes: [a:b]}\n", "compose.yml:2: services.a.volumes"),
        (b"services:\n  a: {environment: 5}\n", "compose.yml:2: services.a.environment"),
        (b"services:\n  a: {command: {a: b}}\n", "compose.yml:2: services.a.command"),
        (b"services:\n  a: {depends_on: {b: c}, image: [x]}\n", "compose.yml:2: services.a.image"),
        (b"services:\n  a: &a {x-b: *a}\n", "compose.yml:2: services.a.x-b: the value contains"),
        (b"services:\n  ? [a]\n  : b\n", "compose.yml:2: services: the key is not text"),
        (b'services:\n  a: {image: "\\ud800"}\n', "compose.yml:2: services.a.image: has half"),
        (b'services: "\\U99999999"\n', "compose.yml:1: is not YAML"),
        (b"services: \xff\n", "compose.yml:1: is not text in UTF-8"),
        (b"services:\n  a: {image: \x07}\n", "compose.yml:2: has a character"),
        (b"a: " + b"[" * (DEEPEST + 5) + b"]" * (DEEPEST + 5), "compose.yml:1: a."),
        (b"[" * 5000, "compose.yml"),
        (b"\xff\xfes\x00", "compose.yml:1: is not a mapping"),
        (b"x" * (5 * 1024**2), "compose.yml: is larger than 4 MiB"),
        (b"include: 5\nservices: {a: {image: b}}\n", "compose.yml:1: include: has a wrong form"),
        (b"include: [gone.yml]\n", "gone.yml: cannot be read"),
        (b"services:\n  a: {extends: b}\n", "compose.yml:2: services.a.extends: there is no"),
        (b"services:\n  a: {extends: a}\n", "compose.yml:2: services.a.extends: extends itself"),
        (b"services:\n  a: {extends: [b]}\n", "compose.yml:2: services.a.extends: has a wrong"),
    ],
)
def test_anything_else_is_a_problem_with_its_place(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    file = tmp_path / "compose.yml"
    file.write_bytes(content)
    with pytest.raises(ComposeError) as caught:
        load_project([file], environment={})
    assert expected in str(caught.value)


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 9)]
    file = tmp_path / "compose.yml"
    file.write_text("\n".join(lines))
    with pytest.raises(ComposeError, match=f"more than {MOST_VALUES} values"):
        load_project([file], environment={})


def test_utf_16_and_windows_lines_are_read(tmp_path: Path) -> None:
    file = tmp_path / "compose.yml"
    file.write_bytes("services:\r\n  a: {image: ü}\r\n".encode("utf-16"))
    assert load_project([file], environment={}).services["a"]["image"] == "ü"


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "compose.yml"
    file.write_text("services:\n  a: {ports: [x]}\n  b: {volumes: 5}\n  c: 5\n")
    with pytest.raises(ComposeError) as caught:
        load_project([file], environment={})
    assert [text.split(":")[1] for text in caught.value.problems] == ["2", "3", "4"]
