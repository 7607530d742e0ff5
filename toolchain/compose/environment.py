"""Environment variables: plain ones, and those that hold secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolchain.compose.interpolation import Reference, Variables
from toolchain.compose.outcome import Outcome
from toolchain.compose.plain_values import PlainValues
from toolchain.compose.secret_signs import CREDENTIALS, is_secret_name
from toolchain.compose.secrets import SecretPart, Secrets, parts_with_secrets
from toolchain.compose.yaml_file import Section


@dataclass
class EnvironmentRules:
    """Divides the variables of services into `environment` and `secret_environment`."""

    variables: Variables
    secrets: Secrets
    plain: PlainValues

    def collect(self, services: Mapping[str, Section]) -> None:
        """Find the secrets of all services, before any text is divided.

        Short names come first, which name a secret best: `MINIO_ROOT_PASSWORD` before
        `APP_STORE_SECRET_ACCESS_KEY`. URLs come last: most have a password that another
        variable has too.
        """
        found = [
            (bool(CREDENTIALS.search(self.variables.plain(text))), len(key), key, text, name)
            for name, service in services.items()
            for key, text in self._variables_of(service).items()
            if text and (self.variables.plain(text) or self._is_needed(text))
        ]
        for _, _, key, text, name in sorted(found, key=lambda one: one[:2]):
            parts_with_secrets(key, text, name, self.secrets, self.variables)

    def apply(self, service: Section, outcome: Outcome) -> None:
        """Put both keys into the entry."""
        plain: dict[str, str] = {}
        secret: dict[str, str] = {}
        empty: list[str] = []
        for key, given in self._variables_of(service).items():
            if given is None:
                outcome.change(
                    f"environment.{key}",
                    "left out: the shell, which passes it on, does not have it",
                )
                continue
            parts = parts_with_secrets(key, given, outcome.original, self.secrets, self.variables)
            if not any(isinstance(part, SecretPart) for part in parts):
                plain[key] = self.plain.text(given, outcome.name)
            elif not self.variables.plain(given) and not self._is_needed(given):
                empty.append(key)
            else:
                secret[key] = self._text(parts, outcome)
        if empty:
            outcome.change(
                "environment",
                f"{', '.join(empty)} left out: empty, and by name for a secret; "
                "to use one, add it to secret_environment",
            )
        if plain:
            outcome.carry("environment", plain)
        if secret:
            outcome.entry["secret_environment"] = secret
            outcome.change(
                "environment",
                f"{', '.join(secret)} in secret_environment: encrypted in the state, visible "
                "to docker inspect",
            )

    def _variables_of(self, service: Section) -> dict[str, str | None]:
        """The variables, with those that the shell passes on."""
        environment: dict[str, Any] = service.get("environment") or {}
        found: dict[str, str | None] = {}
        for key, text in environment.items():
            if text is not None:
                found[key] = text
            elif key in self.variables.values or is_secret_name(key):
                found[key] = self.variables.of_shell(key)
            else:
                found[key] = None
        return found

    def _is_needed(self, text: str) -> bool:
        """Whether a variable in the text has to be set: it has no value, not even an empty one."""
        return any(reference.value is None for reference in self.variables.references(text))

    def _text(self, parts: list[str | Reference | SecretPart], outcome: Outcome) -> str:
        return "".join(
            part.text
            if isinstance(part, SecretPart)
            else self.plain.reference(part, outcome.name)
            if isinstance(part, Reference)
            else part
            for part in parts
        )
