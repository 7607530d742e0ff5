"""Secrets by name: generated ones of the catalogue, and texts that refer to secrets."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from components.config.compose.words import Variables, names
from components.config.schema import StrictModel, refusal

SECRETS_DIRECTORY = "/run/secrets"
_NAME = r"[a-z][a-z0-9_-]{0,63}"
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
# The policy pack, which runs without this package, has the same patterns.
_SECRET_VARIABLE = re.compile(
    r"((^|_)(TOKEN|KEY|PASS|PASSPHRASE|CREDENTIALS)|SECRET|PASSWORD|PASSWD|APIKEY)$", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"\b(eyJ[\w+/=-]{40,}|hf_\w{20,}|gh[pousr]_\w{20,}|pul-[0-9a-f]{20,}|sk-[\w-]{20,})"
)
_PASSWORD_IN_URL = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


class GeneratedSecretSettings(StrictModel):
    """A random secret, made once and kept encrypted in the state."""

    generate: int = Field(ge=8, le=256, description="how many characters")
    alphabet: Literal["letters-digits", "hex"] = "letters-digits"


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable should be a secret, by its name or by its value."""
    named = bool(value and _SECRET_VARIABLE.search(name))
    return named or bool(_SECRET_VALUE.search(value) or _PASSWORD_IN_URL.search(value))


def references(text: str) -> list[str]:
    """The names of the secrets in a text such as `postgres://app:${db-password}@postgres`."""
    return _REFERENCE.findall(text)


def filled(text: str, values: dict[str, str]) -> str:
    """The text with the secrets' values in it."""
    return _REFERENCE.sub(lambda match: values[match[1]], text)


def _secret_name(value: str) -> str:
    if not re.fullmatch(_NAME, value):
        raise refusal(
            "is not a valid name of a secret",
            allowed="1 to 64 of a-z, 0-9, - and _, beginning with a letter",
        )
    return value


def _files(value: Any) -> Any:
    """By name: where the file is."""
    if isinstance(value, list | tuple):
        return {name: f"{SECRETS_DIRECTORY}/{name}" for name in names(value)}
    return value


def _secret_path(value: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", value) or ".." in value.split("/"):
        raise refusal("is not a path in the container", allowed=f"{SECRETS_DIRECTORY}/name")
    return value


def _secret_texts(texts: dict[str, str]) -> dict[str, str]:
    for variable, text in texts.items():
        wrong = [name for name in references(text) if not re.fullmatch(_NAME, name)]
        if wrong or not references(text):
            raise refusal(
                f"has {variable} without the name of a secret",
                allowed="text with ${NAME}, where NAME is that of a secret; plain values belong "
                "under environment",
                hide=True,
            )
    return texts


SecretName = Annotated[
    str, AfterValidator(_secret_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME}$"})
]
SecretFiles = Annotated[
    dict[SecretName, Annotated[str, AfterValidator(_secret_path)]],
    BeforeValidator(_files),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}},
                {"type": "object", "additionalProperties": {"type": "string"}},
            ]
        }
    ),
]
"""By name: the path of its file."""
SecretTexts = Annotated[Variables, AfterValidator(_secret_texts)]
"""By variable: a text with `${NAME}` in it."""
