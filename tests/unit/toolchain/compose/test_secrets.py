"""Secrets: which are one, which the stack makes, and which a person sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.toolchain.compose.conftest import Files, Importing, outcome
from toolchain.compose.importing import Import


def origins(done: Import) -> dict[str, object]:
    """By name: how the stack makes each secret; None for one that a command sets."""
    return {secret.name: secret.generate for secret in done.secrets}


def held(done: Import, service: str) -> dict[str, str]:
    found = outcome(done, service).entry["secret_environment"]
    assert isinstance(found, dict)
    return found


def test_one_variable_in_several_services_is_one_secret(compose: Importing) -> None:
    done = compose(
        """
        services:
          db: {image: 'postgres:17', environment: {POSTGRES_PASSWORD: '${DB_PASSWORD}'}}
          app: {image: 'a:1', environment: {DB_PASS: '${DB_PASSWORD}'}}
        """
    )
    assert held(done, "db") == {"POSTGRES_PASSWORD": "${db-password}"}
    assert held(done, "app") == {"DB_PASS": "${db-password}"}
    assert origins(done) == {"db-password": {"generate": 32}}


def test_a_password_in_a_url_is_that_of_its_server(compose: Importing) -> None:
    done = compose(
        """
        services:
          app:
            image: a:1
            environment:
              DATABASE_URL: ${DATABASE_URL:-postgresql://app:word@db:5432/app?ssl=off}
              CACHE_URL: redis://:${CACHE_PASSWORD:-changeme}@cache:6379/0
          db: {image: 'postgres:17', environment: {POSTGRES_PASSWORD: word, POSTGRES_USER: app}}
        """
    )
    assert held(done, "app") == {
        "DATABASE_URL": "postgresql://app:${postgres-password}@db:5432/app?ssl=off",
        "CACHE_URL": "redis://:${cache-password}@cache:6379/0",
    }
    assert held(done, "db") == {"POSTGRES_PASSWORD": "${postgres-password}"}
    assert origins(done) == {
        "postgres-password": {"generate": 32},
        "cache-password": {"generate": 32},
    }


def test_a_url_keeps_values_of_the_stack_around_its_password(compose: Importing) -> None:
    done = compose(
        "services: {a: {image: 'a:1', environment: {U: 'mongodb://${WHO:-me}:${PASSWORD}@${AT}/x'}}}"
    )
    assert held(done, "a") == {"U": "mongodb://${config:WHO:-me}:${password}@${config:AT}/x"}


def test_the_same_name_with_two_values_is_two_secrets(compose: Importing) -> None:
    done = compose(
        """
        services:
          a: {image: 'postgres:17', environment: {POSTGRES_PASSWORD: first-one}}
          b: {image: 'postgres:17', environment: {POSTGRES_PASSWORD: second-one}}
        """
    )
    names = {held(done, "a")["POSTGRES_PASSWORD"], held(done, "b")["POSTGRES_PASSWORD"]}
    assert len(names) == 2
    assert len(origins(done)) == 2


@pytest.mark.parametrize(
    ("variable", "value", "made"),
    [
        ("POSTGRES_PASSWORD", "${POSTGRES_PASSWORD:?}", {"generate": 32}),
        ("SALT", "mysalt", {"generate": 32}),
        ("ENCRYPTION_KEY", "0" * 64, {"generate": 64, "alphabet": "hex"}),
        ("CREDS_IV", "00112233445566778899aabbccddeeff", {"generate": 32, "alphabet": "hex"}),
        ("OPENAI_API_KEY", "${OPENAI_API_KEY}", None),
        ("HF_TOKEN", "${HF_TOKEN}", None),
        ("GITHUB_CLIENT_SECRET", "${GITHUB_CLIENT_SECRET}", None),
        ("SEARCH_API_KEY", "${SEARCH_API_KEY}", None),
        ("SEARCH_API_KEY", "changeme", {"generate": 32}),
        ("GF_SECURITY_ADMIN_PASSWORD", "${ADMIN_PASSWORD}", None),
    ],
)
def test_who_makes_a_secret(compose: Importing, variable: str, value: str, made: object) -> None:
    done = compose(f"services: {{a: {{image: 'a:1', environment: {{{variable}: '{value}'}}}}}}")
    assert list(origins(done).values()) == [made]


def test_a_key_that_services_of_the_file_share_is_made_here(compose: Importing) -> None:
    done = compose(
        """
        services:
          server: {image: 'a:1', environment: {INDEX_API_KEY: '${INDEX_API_KEY}'}}
          client: {image: 'b:1', environment: {INDEX_API_KEY: '${INDEX_API_KEY}'}}
        """
    )
    assert origins(done) == {"index-api-key": {"generate": 32}}


def test_a_key_in_a_form_of_its_program_is_set_by_the_user(compose: Importing) -> None:
    done = compose(
        """
        services:
          litellm: {image: 'l:1', environment: {LITELLM_MASTER_KEY: '${LITELLM_MASTER_KEY}'}}
          page: {image: 'p:1', environment: {OPENAI_API_KEY: '${LITELLM_MASTER_KEY}'}}
        """
    )
    assert held(done, "litellm") == {"LITELLM_MASTER_KEY": "${litellm-master-key}"}
    assert held(done, "page") == {"OPENAI_API_KEY": "${litellm-master-key}"}
    assert origins(done) == {"litellm-master-key": None}


def test_secrets_of_compose_keep_their_paths(compose: Importing, write: Files) -> None:
    file = write("key.txt", "hunter2\n")
    done = compose(
        """
        services:
          a:
            image: a:1
            environment: {PW_FILE: /run/secrets/db_password}
            secrets: [db_password]
          b:
            image: b:1
            secrets: [{source: KEY, target: /etc/key}, {source: from-shell, target: short}]
        secrets:
          db_password: {file: ./key.txt}
          KEY: {external: true}
          from-shell: {environment: API_KEY}
        """
    )
    assert outcome(done, "a").entry["secrets"] == ["db_password"]
    assert outcome(done, "a").entry["environment"] == {"PW_FILE": "/run/secrets/db_password"}
    assert outcome(done, "b").entry["secrets"] == {
        "key": "/etc/key",
        "from-shell": "/run/secrets/short",
    }
    assert {secret.name: secret.file for secret in done.secrets}["db_password"] == file
    assert origins(done)["db_password"] is None


def test_names_that_the_catalogue_has_are_not_taken(compose: Importing, checkout: Path) -> None:
    (checkout / "catalog" / "postgres.yaml").write_text(
        "secrets: {postgres-password: {generate: 32}}\n"
    )
    done = compose("services: {a: {image: 'a:1', environment: {POSTGRES_PASSWORD: x}}}")
    assert held(done, "a") == {"POSTGRES_PASSWORD": "${shop-postgres-password}"}
