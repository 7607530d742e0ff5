"""Parsing of `services.yaml`: encodings, merge keys, and errors without tracebacks."""

from __future__ import annotations

import codecs
import random
from pathlib import Path

import pytest

from components.config.problems import Problem, SettingsError, ensure_none
from components.config.yaml_document import MOST_VALUES
from components.kinds.catalogue import Catalogue, load_catalogue
from components.kinds.chat import ChatService

CATALOGUE = """\
models:
  tiny:
    description: größer
    path: /opt/models/tiny.gguf
    context: 2048
    slots: 2
services:
  chat: &chat
    kind: chat
    description: The page
    memory: 512MiB
    cpus: 1
"""
# Another service, which merges the one above.
MERGING = CATALOGUE + "  second:\n    <<: *chat\n"
WITH_A_PROGRAM = (
    CATALOGUE
    + """\
  clock:
    kind: container
    description: The time
    image: clock
    port: 8000
    health: /health
    memory: 64MiB
    cpus: 0.25
    environment:
      ZONE: Europe/Berlin
    expect:
      max_seconds: 2
      status: [200]
      json:
        state: good
"""
)


def load(folder: Path, content: str | bytes) -> Catalogue:
    path = folder / "services.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    catalogue = load_catalogue(path)
    ensure_none(catalogue.problems)
    return catalogue


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(SettingsError) as error:
        load(folder, content)
    return str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        CATALOGUE.encode(),
        codecs.BOM_UTF8 + CATALOGUE.encode(),
        codecs.BOM_UTF16_LE + CATALOGUE.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + CATALOGUE.encode("utf-16-be"),
        codecs.BOM_UTF16_LE + CATALOGUE.replace("\n", "\r\n").encode("utf-16-le"),
    ],
    ids=["utf-8", "utf-8 with mark", "utf-16-le", "utf-16-be", "PowerShell"],
)
def test_a_file_is_read_in_common_encodings(tmp_path: Path, data: bytes) -> None:
    assert load(tmp_path, data).models["tiny"].description == "größer"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            CATALOGUE.encode("latin-1"),
            "services.yaml:3: is not text in UTF-8; found b'\\xf6', allowed: UTF-8, or UTF-16 with a "
            "byte order mark; save the file as UTF-8",
        ),
        (
            codecs.BOM_UTF16_LE + CATALOGUE.encode("utf-16-le") + b"\x00",
            "services.yaml:13: is not text in UTF-16-LE; found b'\\x00', allowed: UTF-8, or UTF-16 "
            "with a byte order mark; save the file as UTF-8",
        ),
        (
            "models: {}\n".encode("utf-16-le"),
            "services.yaml:1: has a character that YAML does not allow; found U+0000, allowed: text "
            "in UTF-8, or in UTF-16 with a byte order mark",
        ),
        (
            b"models: {}\nservices: \x1b[1m\n",
            "services.yaml:2: has a character that YAML does not allow; found U+001B, allowed: text "
            "in UTF-8, or in UTF-16 with a byte order mark",
        ),
    ],
)
def test_another_encoding_is_refused_with_its_line_and_instructions(
    tmp_path: Path, data: bytes, message: str
) -> None:
    assert refusal(tmp_path, data) == message


@pytest.mark.parametrize(
    ("keys", "memory", "cpus"),
    [
        ("<<: *chat", 512, 1),
        ("<<: *chat\n    memory: 1GiB", 1024, 1),
        ("memory: 1GiB\n    <<: *chat", 1024, 1),
        ("<<: [{cpus: 2}, *chat]\n    memory: 1GiB", 1024, 2),
        ("<<: [*chat, {cpus: 2}]", 512, 1),
        ("<<: {cpus: 2}\n    <<: *chat\n    cpus: 3", 512, 3),
        ("<<: {<<: *chat, memory: 1GiB}\n    cpus: 3", 1024, 3),
    ],
)
def test_the_keys_of_a_mapping_override_merged_keys(
    tmp_path: Path, keys: str, memory: int, cpus: float
) -> None:
    second = load(tmp_path, f"{CATALOGUE}  second:\n    {keys}\n").services["second"]
    assert isinstance(second, ChatService)
    assert (second.memory, second.cpus) == (memory * 1024**2, cpus)


def test_a_problem_in_an_overridden_key_has_the_line_of_the_override(tmp_path: Path) -> None:
    assert refusal(tmp_path, MERGING + "    cpus: -1\n").startswith("services.yaml:15: ")


def test_a_problem_in_a_merged_key_has_the_line_of_the_key(tmp_path: Path) -> None:
    content = MERGING.replace("cpus: 1", "cpus: -1")
    chat, second = refusal(tmp_path, content).splitlines()
    assert chat.startswith("services.yaml:12: services.chat.cpus: ")
    assert second.startswith("services.yaml:12: services.second.cpus: ")


# Each row: the text after the catalogue, and the error.
BROKEN = [
    ("  chat: {}\n", "services.yaml:13: the key 'chat' is given twice"),
    (
        "  second:\n    <<: *chat\n    cpus: 1\n    cpus: 2\n",
        "services.yaml:16: the key 'cpus' is given twice",
    ),
    (
        "  8080: {}\n  2026-01-01: {}\n  null: {}\n",
        "services.yaml:13: the key is not text; found '8080', read as int, allowed: text, here in "
        "quotes\n"
        "services.yaml:14: the key is not text; found '2026-01-01', read as timestamp, allowed: "
        "text, here in quotes\n"
        "services.yaml:15: the key is not text; found 'null', read as null, allowed: text, here in "
        "quotes",
    ),
    ("  ? [a]\n  : {}\n", "services.yaml:13: the key is not text; found a seq, allowed: text"),
    (
        "  second: {{ name }}\n",
        "services.yaml:13: the key is not text; found a map, allowed: text",
    ),
    (
        "  second: !include other.yaml\n",
        "services.yaml:13: the tag '!include' is unknown; remove it, or put the value in quotes",
    ),
    (
        "  second: 2026-13-45\n",
        "services.yaml:13: is not YAML: not a valid timestamp; found '2026-13-45', allowed: a valid "
        "one, or text in quotes",
    ),
    ("  second: *missing\n", "services.yaml:13: is not YAML: found undefined alias 'missing'"),
    (
        "  second: &second [*second]\n",
        "services.yaml:13: the value contains itself, by an alias",
    ),
    (
        "  second: &second\n    <<: *second\n",
        "services.yaml:13: the value contains itself, by an alias",
    ),
    (
        "  second:\n    <<: text\n",
        "services.yaml:14: is not YAML: expected a mapping or list of mappings for merging, but "
        "found scalar",
    ),
    ("---\nmodels: {}\n", "services.yaml:14: a second document begins; allowed: one in a file"),
    (
        f"  second: {'[' * 150}{']' * 150}\n",
        "services.yaml:13: is nested too deeply; allowed: 100 levels",
    ),
    (f"  second: {'[' * 5000}\n", "services.yaml:13: is nested too deeply; allowed: 100 levels"),
    (
        '  second: "\\UFFFFFFFF"\n',
        "services.yaml:13: is not YAML: found an escape that is not a character",
    ),
    (
        '  "\\uD83D\\uDE00": {}\n',
        "services.yaml:13: has half a character, by an escape; allowed: the character itself",
    ),
    (
        '  second: "\\uD83D\\uDE00"\n',
        "services.yaml:13: has half a character, by an escape; allowed: the character itself",
    ),
]


@pytest.mark.parametrize(("addition", "message"), BROKEN)
def test_an_invalid_catalogue_is_refused_with_its_line(
    tmp_path: Path, addition: str, message: str
) -> None:
    assert refusal(tmp_path, CATALOGUE + addition) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "",
            "services.yaml:1: is not a mapping; found nothing; allowed: models, secrets, services",
        ),
        (
            "# later\n",
            "services.yaml:1: is not a mapping; found nothing; allowed: models, secrets, services",
        ),
        (
            "\n- a\n",
            "services.yaml:2: is not a mapping; found ['a']; allowed: models, secrets, services",
        ),
        (
            "later",
            "services.yaml:1: is not a mapping; found 'later'; allowed: models, secrets, services",
        ),
        (
            "!!set {a}",
            "services.yaml:1: is not a mapping; found {'a'}; allowed: models, secrets, services",
        ),
    ],
)
def test_a_document_without_keys_is_refused(tmp_path: Path, content: str, message: str) -> None:
    assert refusal(tmp_path, content) == message


def test_multiplying_aliases_are_refused_before_they_use_memory(tmp_path: Path) -> None:
    levels = [f"  l{at}: &l{at} [{', '.join(10 * [f'*l{at - 1}'])}]\n" for at in range(1, 40)]
    assert refusal(tmp_path, CATALOGUE + "  l0: &l0 [x]\n" + "".join(levels)) == (
        f"services.yaml:18: holds more than {MOST_VALUES} values, each alias counted in full"
    )


def test_nested_aliases_count_as_levels(tmp_path: Path) -> None:
    levels = [f"  l{at}: &l{at} [*l{at - 1}]\n" for at in range(1, 300)]
    assert refusal(tmp_path, CATALOGUE + "  l0: &l0 [x]\n" + "".join(levels)) == (
        "services.yaml:112: is nested too deeply; allowed: 100 levels"
    )


# Values that YAML does not read as the text that they seem to be.
NASTY = [
    *("~", "=", "<<", "yes", ".nan", ".inf", "-.inf", "0x_", "0b_", "1:2:3", "1e400", "1.0e+400"),
    *(
        "!!int ''",
        "!!int x",
        "!!int '-'",
        "!!float ''",
        "!!bool maybe",
        "!!timestamp x",
        "!!null x",
    ),
    *(
        "!!binary '*'",
        "!!binary ///8=",
        "!!set {a, a}",
        "!!omap [a: 1]",
        "!!omap {a: 1}",
        "!!omap x",
    ),
    *("!!pairs [a: 1, a: 2]", "!!pairs [[a]]", "!!str [a]", "!!map x", "!!seq {}", "!!merge x"),
    *("2001-12-14t21:59:43+99:99", "0000-00-00", "!!python/object/apply:os.system [x]", "!<x> y"),
    *(":".join(["1"] * 400) + ".5", "0x" + "f" * 5000, "9" * 5000, "9" * 400 + "GiB", "1_000_"),
    *(
        "{a: b, a: c}",
        "{[a]: b}",
        "{{a}: b}",
        "{? }",
        "[",
        "]",
        "{",
        "*x",
        "&x",
        "&x *x",
        "&x [*x]",
    ),
    *('"\\x00"', '"\\x1b"', '"\\ud800"', '"\\uffff"', '"\\Uffffffff"', '"\\U00110000"', '"\\q"'),
    *("'", '"', "|", ">", "|9", "%", "@", "`", "- a", "? a", ": a", "a: b: c", "--- a", "... x"),
    *("\t", "\u2028", "\ufeff", "\x00", "\x85", "\x7f", "\U0001f600", "%YAML 9.9", "%TAG ! !"),
    *("[" * 400, "{a: " * 400, "- " * 400, "x" * 100_000, "!" * 300, "&" + "a" * 3000 + " x"),
]


def is_refused(folder: Path, content: str | bytes) -> bool:
    """Whether a file is refused with a printable message that names it.

    Any other exception than `SettingsError` fails the test.
    """
    found: tuple[Problem, ...] = ()
    try:
        load(folder, content)
    except SettingsError as refused:
        found = refused.problems
    assert all(problem.source == "services.yaml" for problem in found)
    "".join(map(str, found)).encode()
    return bool(found)


@pytest.mark.parametrize("value", NASTY, ids=lambda value: ascii(value[:20]))
def test_no_value_or_key_raises_another_error(tmp_path: Path, value: str) -> None:
    for line in ("context: 2048", "kind: chat", "memory: 64MiB", "status: [200]", "state: good"):
        key, _, _ = line.partition(":")
        is_refused(tmp_path, WITH_A_PROGRAM.replace(line, f"{key}: {value}", 1))
    for line in ("tiny:", "ZONE: Europe/Berlin"):
        _, _, good = line.partition(":")
        is_refused(tmp_path, WITH_A_PROGRAM.replace(line, f"{value}:{good}", 1))


def test_no_damaged_file_raises_another_error(tmp_path: Path) -> None:
    chance = random.Random(8)
    refused = 0
    for _ in range(300):
        data = bytearray(MERGING.encode())
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at : at + chance.randint(1, 20)]
                case 2:
                    data[at:at] = chance.choice(NASTY)[:50].encode("utf-8", "surrogatepass")
                case _:
                    data[at:at] = chance.choice(b"\n :-&*?!|>'\"%@`{}[],#~<").to_bytes()
        refused += is_refused(tmp_path, bytes(data))
    assert refused > 100
