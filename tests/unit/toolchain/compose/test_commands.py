"""Commands, entrypoints and tests of health checks, with and without secrets."""

from __future__ import annotations

import pytest

from tests.unit.toolchain.compose.conftest import Importing, changed, outcome
from toolchain.compose.outcome import Outcome


def imported(compose: Importing, text: str) -> Outcome:
    return outcome(compose(f"services:\n  a:\n    {text}"), "a")


def test_commands_without_secrets_are_carried(compose: Importing) -> None:
    one = imported(
        compose,
        "{image: 'a:1', entrypoint: [/bin/sh, -c], command: run --max-tokens 5, working_dir: /srv}",
    )
    assert one.entry["entrypoint"] == ["/bin/sh", "-c"]
    assert one.entry["command"] == "run --max-tokens 5"
    assert one.entry["working_dir"] == "/srv"


def test_variables_in_a_command_become_values_of_the_stack(compose: Importing) -> None:
    one = imported(compose, "{image: 'a:1', command: 'run --level ${LEVEL:-info} ${NAME}'}")
    assert one.entry["command"] == ["run", "--level", "${config:LEVEL:-info}", "${config:NAME}"]


def test_a_shell_puts_a_secret_in_where_the_program_is_known(compose: Importing) -> None:
    one = imported(
        compose, "{image: 'redis:7', command: '--requirepass ${REDIS_AUTH:-x y} --save \"\"'}"
    )
    assert one.entry["entrypoint"] == ["sh", "-c"]
    assert one.entry["command"] == [
        "exec docker-entrypoint.sh --requirepass \"$REDIS_AUTH\" --save ''"
    ]
    assert one.entry["secret_environment"] == {"REDIS_AUTH": "${redis-auth}"}


def test_a_given_entrypoint_is_kept_in_the_shell(compose: Importing) -> None:
    one = imported(
        compose,
        "{image: 'a:1', entrypoint: [/app/run, \"it's\"], command: [--api-key=literal-one]}",
    )
    assert one.entry["command"] == ["exec /app/run 'it'\"'\"'s' --api-key=\"$API_KEY\""]
    assert one.entry["secret_environment"] == {"API_KEY": "${api-key}"}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("run --password ${PW} end", 'run --password "$PW" end'),
        ('run --password "${PW}" end', 'run --password "${PW}" end'),
        ("run 'x ${PW} y'", "run 'x '\"$PW\"' y'"),
        ("PASSWORD=literal-one run", 'PASSWORD="$PASSWORD" run'),
        ("run $${OTHER} ${PW}", 'run ${OTHER} "$PW"'),
    ],
)
def test_a_script_reads_the_secret(compose: Importing, script: str, expected: str) -> None:
    one = imported(compose, f"{{image: 'a:1', command: [sh, -c, {script!r}]}}")
    assert one.entry["command"] == ["sh", "-c", expected]
    assert "entrypoint" not in one.entry


def test_a_script_of_the_entrypoint_reads_the_secret(compose: Importing) -> None:
    one = imported(
        compose, "{image: 'a:1', entrypoint: [/bin/bash, -ec], command: ['login ${TOKEN}']}"
    )
    assert one.entry["entrypoint"] == ["/bin/bash", "-ec"]
    assert one.entry["command"] == ['login "$TOKEN"']


def test_an_unknown_program_keeps_the_rest_of_its_command(compose: Importing) -> None:
    one = imported(
        compose, "{image: 'example/app:1', command: 'serve --port 80 --token ${APP_TOKEN}'}"
    )
    assert one.written
    assert one.entry["command"] == ["serve", "--port", "80"]
    assert one.entry["secret_environment"] == {"APP_TOKEN": "${app-token}"}
    assert "the image is not in the list of known entrypoints" in changed(one)
    assert 'exec PROGRAM --token "$APP_TOKEN"' in changed(one)


@pytest.mark.parametrize("option", ["--api-key ${KEY}", "--api-key=${KEY}"])
def test_a_server_reads_its_key_from_the_environment(compose: Importing, option: str) -> None:
    one = imported(
        compose, f"{{image: 'own/fast:1', command: 'vllm serve x/y {option} --port 80'}}"
    )
    assert one.entry["command"] == ["vllm", "serve", "x/y", "--port", "80"]
    assert one.entry["secret_environment"] == {"VLLM_API_KEY": "${key}"}
    assert one.entry["serves"]["api_key"] == "key"


def test_quotes_that_are_not_closed(compose: Importing) -> None:
    one = imported(compose, "{image: 'a:1', command: 'run \"x'}")
    assert not one.written
    assert "its quotes are not closed" in changed(one)


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("[CMD, curl, -f, http://localhost]", ["CMD", "curl", "-f", "http://localhost"]),
        ("curl -f http://localhost", "curl -f http://localhost"),
        ("[CMD, redis-cli, -a, '${PW}', ping]", ["CMD-SHELL", 'redis-cli -a "$PW" ping']),
        ("[CMD-SHELL, 'redis-cli -a ${PW} ping']", ["CMD-SHELL", 'redis-cli -a "$PW" ping']),
        ("'redis-cli -a ${PW} ping'", 'redis-cli -a "$PW" ping'),
        ("[CMD, run, --level, '${LEVEL:-1}']", ["CMD", "run", "--level", "${config:LEVEL:-1}"]),
    ],
)
def test_health_checks(compose: Importing, test: str, expected: object) -> None:
    one = imported(
        compose,
        f"{{image: 'redis:7', healthcheck: {{test: {test}}}, environment: {{PW: '${{PW}}'}}}}",
    )
    assert one.entry["healthcheck"]["test"] == expected
