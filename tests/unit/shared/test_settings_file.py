"""Reading a settings file: each problem names file, key, value and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from app.shared.settings_file import SettingsError, Strict, read_settings


class Server(Strict):
    port: int = Field(default=80, ge=1)
    host: str = "localhost"


class Example(Strict):
    name: str
    servers: tuple[Server, ...] = ()
    main: Server | None = None


def problems(path: Path, text: str, *, secret: bool = False) -> list[str]:
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        read_settings(path, Example, secret=secret)
    return str(raised.value).splitlines()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "example.json"


def test_a_valid_file_is_read(file: Path) -> None:
    file.write_text('{"name": "a", "servers": [{"port": 81}]}')
    assert read_settings(file, Example) == Example(name="a", servers=(Server(port=81),))


def test_all_problems_are_reported_at_once(file: Path) -> None:
    found = problems(file, '{"servers": [{"port": 0}, {"port": "x"}]}')
    assert found == [
        f"{file}: name: Field required",
        f"{file}: servers.0.port: Input should be greater than or equal to 1; found 0",
        f"{file}: servers.1.port: Input should be a valid integer, unable to parse string as an "
        "integer; found 'x'",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"name": "a", "nam": 1}', "nam: Extra inputs are not permitted; allowed: main, name,"),
        ('{"name": "a", "servers": [{"prot": 1}]}', "servers.0.prot: Extra inputs are not"),
        ('{"name": "a", "main": {"prot": 1}}', "not permitted; allowed: host, port"),
    ],
)
def test_an_unknown_key_lists_the_allowed_ones(file: Path, text: str, line: str) -> None:
    [found] = problems(file, text)
    assert line in found
    assert "; allowed: " in found


def test_values_of_a_secret_file_do_not_appear(file: Path) -> None:
    [found] = problems(file, '{"name": ["hunter2"], "main": null}', secret=True)
    assert found == f"{file}: name: Input should be a valid string"
    assert problems(file, '{"name": 123456}', secret=True) == [found]


@pytest.mark.parametrize(
    ("text", "problem"), [("{", "is not JSON: "), ("[]", "Input should be a valid dictionary")]
)
def test_what_is_not_a_json_object_is_reported(file: Path, text: str, problem: str) -> None:
    [found] = problems(file, text)
    assert found.startswith(f"{file}: {problem}")


def test_a_file_that_cannot_be_read_is_reported(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"example\.json: cannot be read: "):
        read_settings(file, Example)
