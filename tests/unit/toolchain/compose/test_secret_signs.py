"""What looks like a secret."""

from __future__ import annotations

import pytest

from components.config.named_secrets import looks_secret
from toolchain.compose.secret_signs import is_always_secret, is_secret_name, is_secret_value

SECRET_NAMES = [
    "POSTGRES_PASSWORD", "OPENAI_API_KEY", "HF_TOKEN", "JWT_SECRET", "REDIS_AUTH", "SALT",
    "ENCRYPTION_KEY", "AWS_SECRET_ACCESS_KEY", "CREDS_IV", "CREDS_KEY", "MASTER_KEY", "apiKey",
    "--requirepass", "--api-key", "MYSQL_PWD", "SENTRY_DSN", "N8N_USER_MANAGEMENT_JWT_SECRET", "KEY",
]  # fmt: skip
PLAIN_NAMES = [
    "POSTGRES_USER", "MAX_TOKENS", "TOKENIZERS_PARALLELISM", "POSTGRES_PASSWORD_FILE", "KEYBOARD",
    "S3_ACCESS_KEY_ID", "AUTH_ENABLED", "PASSWORD_MIN_LENGTH", "MONKEY", "TOKEN_LIMIT", "KEY_PREFIX",
    "SECRET_NAME", "AUTHOR", "COMPASS", "PRIMARY_KEYBOARD", "TOKEN_URL", "JWT_ALGORITHM",
]  # fmt: skip


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "value",
    [
        "sk-abcdefghijklmnopqrst",
        "hf_abcdefghijklmnopqrstuvwxyz",
        "ghp_0123456789abcdefghij",
        "postgresql://user:word@host/db",
        "-----BEGIN RSA PRIVATE KEY-----",
        "AKIAIOSFODNN7EXAMPLE",
    ],
)
def test_values_of_secrets(value: str) -> None:
    assert is_secret_value(value)


@pytest.mark.parametrize(
    "value",
    ["postgresql://user@host/db", "http://host:80/@x", "hf_cache_models", "sk-learn", "word"],
)
def test_other_values(value: str) -> None:
    assert not is_secret_value(value)


@pytest.mark.parametrize("name", [*SECRET_NAMES, *PLAIN_NAMES])
def test_no_plain_value_is_one_that_the_catalogue_refuses(name: str) -> None:
    assert is_always_secret(name) or not looks_secret(name, "value")
