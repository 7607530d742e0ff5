"""Environment variables: plain, by stack, and secret."""

from __future__ import annotations

from tests.unit.toolchain.compose.conftest import Files, Importing, changed, outcome


def test_plain_values(compose: Importing) -> None:
    one = outcome(
        compose(
            """
            services:
              a:
                image: a:1
                environment: {MODE: prod, PORT: 80, MAX_TOKENS: 4096, TOKENIZERS_PARALLELISM: false}
            """
        ),
        "a",
    )
    assert one.entry["environment"] == {
        "MODE": "prod",
        "PORT": "80",
        "MAX_TOKENS": "4096",
        "TOKENIZERS_PARALLELISM": "false",
    }
    assert "secret_environment" not in one.entry


def test_variables_become_values_of_the_stack(compose: Importing) -> None:
    done = compose(
        """
        services:
          a:
            image: a:1
            environment:
              HOST: ${HOST_NAME}
              URL: http://${HOST_NAME}:${PORT:-80}/
              LEVEL: ${LEVEL:-info}
              EMPTY: ${NOTHING:-}
        """,
        environment={"LEVEL": "debug"},
    )
    assert outcome(done, "a").entry["environment"] == {
        "HOST": "${config:HOST_NAME}",
        "URL": "http://${config:HOST_NAME}:${config:PORT:-80}/",
        "LEVEL": "${config:LEVEL:-debug}",
        "EMPTY": "",
    }
    assert set(done.values.needed) == {"HOST_NAME"}


def test_what_the_shell_passes_on(compose: Importing) -> None:
    done = compose(
        "services: {a: {image: 'a:1', environment: [REGION, GONE, API_TOKEN]}}",
        environment={"REGION": "eu"},
    )
    one = outcome(done, "a")
    assert one.entry["environment"] == {"REGION": "${config:REGION:-eu}"}
    assert one.entry["secret_environment"] == {"API_TOKEN": "${api-token}"}
    assert "environment.GONE: left out" in changed(one)


def test_an_empty_secret_is_left_out(compose: Importing) -> None:
    one = outcome(
        compose("services: {a: {image: 'a:1', environment: {HF_TOKEN: '${HF_TOKEN:-}'}}}"), "a"
    )
    assert "secret_environment" not in one.entry
    assert "HF_TOKEN left out: empty" in changed(one)


def test_variables_of_env_file(compose: Importing, write: Files) -> None:
    write("a.env", "MODE=prod\nDB_PASSWORD=hunter2hunter2\n")
    done = compose(
        "services: {a: {image: 'a:1', env_file: a.env}, b: {image: 'b:1', env_file: gone}}"
    )
    one = outcome(done, "a")
    assert one.entry["environment"] == {"MODE": "prod"}
    assert one.entry["secret_environment"] == {"DB_PASSWORD": "${db-password}"}
    assert "env_file gone does not exist" in changed(outcome(done, "b"))
