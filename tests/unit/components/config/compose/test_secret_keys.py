"""Secrets by name: `secrets`, `secret_environment`, and plain values that look like secrets."""

from __future__ import annotations

from typing import Any

import pytest

from components.config import named_secrets
from policy import rules
from tests.unit.components.config.compose.container_entry import problem, service


@pytest.mark.parametrize(
    ("secrets", "files"),
    [
        (
            ["db-password", "api_key"],
            {"db-password": "/run/secrets/db-password", "api_key": "/run/secrets/api_key"},
        ),
        ({"db-password": "/etc/app/pw.txt"}, {"db-password": "/etc/app/pw.txt"}),
        ([], {}),
    ],
)
def test_secrets_are_files_under_run_secrets_or_at_their_path(
    secrets: Any, files: dict[str, str]
) -> None:
    assert service(secrets=secrets).secrets == files


@pytest.mark.parametrize(
    ("secrets", "text"),
    [
        (
            {"db": "pw.txt"},
            "secrets.db: is not a path in the container; found 'pw.txt'; allowed: "
            "/run/secrets/name",
        ),
        (
            {"db": "/run/../pw"},
            "secrets.db: is not a path in the container; found '/run/../pw'; allowed: "
            "/run/secrets/name",
        ),
        (
            {"Db": "/pw"},
            "secrets.Db: is not a valid name of a secret; found 'Db'; allowed: 1 to 64 of a-z, "
            "0-9, - and _, beginning with a letter",
        ),
        (
            [{"source": "db"}],
            "secrets: has an entry that is not a name; found [{'source': 'db'}]; allowed: a list "
            "of names, or a map",
        ),
        ("db", "secrets: is not a mapping; found 'db'; allowed: key: value"),
    ],
)
def test_secrets_of_another_form_are_refused(secrets: Any, text: str) -> None:
    assert problem(secrets=secrets) == text


def test_a_text_may_have_several_secrets_in_it() -> None:
    text = "postgresql://${db-user}:${db-password}@postgres/app"
    found = service(secret_environment={"DATABASE_URL": text}).secret_environment
    assert found == {"DATABASE_URL": text}
    assert service(secret_environment=[f"DATABASE_URL={text}"]).secret_environment == found


@pytest.mark.parametrize(
    "text", ["hunter2", "a${}hunter2", "hunter2${Db}", "${a b}hunter2", "$db hunter2"]
)
def test_a_text_without_the_name_of_a_secret_is_refused_and_not_shown(text: str) -> None:
    assert problem(secret_environment={"TOKEN": text}) == (
        "secret_environment: has TOKEN without the name of a secret; allowed: text with ${NAME}, "
        "where NAME is that of a secret; plain values belong under environment"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTGRES_PASSWORD", "hunter2"),
        ("API_KEY", "hunter2"),
        ("KEY", "hunter2"),
        ("admin_token", "hunter2"),
        ("CLIENT_SECRET", "hunter2"),
        ("SSH_PASSPHRASE", "hunter2"),
        ("AWS_CREDENTIALS", "hunter2"),
        ("X", "hf_" + "hunter2" * 4),
        ("X", "ghp_" + "hunter2" * 4),
        ("X", "sk-" + "hunter2" * 4),
        ("X", "eyJ" + "hunter2" * 8),
        ("X", "pul-" + b"hunter2".hex() * 3),
        ("X", "--key=sk-proj-" + "hunter2" * 4),
        ("DATABASE_URL", "postgresql://app:hunter2@db:5432/app"),
        ("REDIS_URL", "redis://:hunter2@redis:6379"),
    ],
)
@pytest.mark.parametrize("form", ["map", "list"])
def test_a_variable_that_looks_like_a_secret_is_refused_and_not_shown(
    name: str, value: str, form: str
) -> None:
    environment = {name: value} if form == "map" else [f"{name}={value}"]
    assert problem(environment=environment) == (
        f"environment: has {name}, which looks like a secret; allowed: secret_environment with "
        f"${{NAME}}, or a file: secrets, for the program that can read {name}_FILE; run: pulumi "
        "config set --secret --path llm-stack:secrets.<name>"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTGRES_PASSWORD_FILE", "/run/secrets/db-password"),
        ("API_KEY", ""),
        ("TOKENIZER", "bpe"),
        ("MONKEY", "yes"),
        ("KEYCLOAK_URL", "http://keycloak:8080/realms"),
        ("DATABASE_URL", "postgresql://db:5432/app"),
        ("MAIL", "mailto:ada@example.com"),
        ("IMAGE", "risk-free"),
    ],
)
def test_other_variables_are_plain(name: str, value: str) -> None:
    assert service(environment={name: value}).environment == {name: value}


def test_the_policy_has_the_same_patterns() -> None:
    assert named_secrets._SECRET_VARIABLE.pattern == rules.SECRET_NAME.pattern
    assert named_secrets._SECRET_VALUE.pattern == rules.SECRET_VALUE.pattern
