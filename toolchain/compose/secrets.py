"""The secrets of a project: which values are the same one, and where each comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from toolchain.compose.interpolation import Reference, Variables
from toolchain.compose.names import FreeNames, kept_secret_name, secret_name
from toolchain.compose.secret_signs import (
    CREDENTIALS,
    comes_from_elsewhere,
    is_always_secret,
    is_own,
    is_placeholder,
    is_public_value,
    is_random,
    is_secret_name,
    is_secret_value,
    is_typed,
)

GENERATED_LENGTH = 32
# Shorter values are in too many texts to be looked for.
SHORTEST_FOUND = 6
# Keys that their program accepts in one form only.
_PREFIXES = {"LITELLM_MASTER_KEY": "sk-"}


@dataclass
class Secret:
    """One secret, which several variables of several services may hold."""

    name: str
    variables: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set, repr=False)
    file: Path | None = None
    """Of Compose's own secret."""
    prefix: str = ""
    """What its program needs every value to begin with, such as `sk-`."""

    @property
    def generate(self) -> dict[str, object] | None:
        """How the stack makes it; None for one that is set by command."""
        if self.file is not None or self.prefix or not self._is_made_here():
            return None
        for value in sorted(self.values):
            if re.fullmatch(r"[0-9a-fA-F]{16,128}", value) and len(value) % 16 == 0:
                return {"generate": len(value), "alphabet": "hex"}
        return {"generate": GENERATED_LENGTH}

    def _is_made_here(self) -> bool:
        own = [name for name in self.variables if not comes_from_elsewhere(name)]
        if not own:
            return False
        shared = len(self.services) > 1
        if any(is_own(name) for name in own):
            return shared or not all(is_typed(name) for name in own)
        return shared or any(is_placeholder(value) for value in self.values if value)


class Secrets:
    """All secrets of a project, found by value or by variable."""

    def __init__(self, variables: Variables, names: FreeNames) -> None:
        self._variables = variables
        self._names = names
        self._by_value: dict[str, Secret] = {}
        self._by_variable: dict[str, Secret] = {}
        self._by_file: dict[str, Secret] = {}
        self._by_key: dict[str, Secret] = {}
        self.all: dict[str, Secret] = {}

    def of_reference(self, reference: Reference, service: str) -> Secret:
        """The secret that a variable of the compose file holds."""
        return self._secret(reference.name, reference.value, service, of_variable=True)

    def of_value(self, variable: str, value: str, service: str) -> Secret:
        """The secret that the file itself holds, for a variable of a service."""
        return self._secret(variable, value, service, of_variable=False)

    def of_file(self, name: str, file: Path | None, variable: str | None, service: str) -> Secret:
        """One of Compose's own secrets, from a file or a variable of the shell."""
        known = self._by_file.get(name)
        if known is None:
            known = self._by_variable.get(variable or "")
        if known is None:
            known = self._add(kept_secret_name(name))
            known.file = file
            if variable:
                self._by_variable[variable] = known
        self._by_file[name] = known
        known.variables.add(variable or name)
        known.services.add(service)
        return known

    def values(self) -> Iterator[str]:
        """Every value that must not be in any output."""
        for secret in self.all.values():
            yield from (value for value in secret.values if len(value) >= SHORTEST_FOUND)

    def _secret(
        self, variable: str, value: str | None, service: str, *, of_variable: bool
    ) -> Secret:
        known = self._by_variable.get(variable) if of_variable else None
        if known is None and value:
            known = self._by_value.get(value)
        if known is None and (same := self._by_key.get(variable)) is not None:
            # Two values are two secrets; a variable without a value has that of its name.
            known = same if not value or not same.values else None
        if known is None:
            known = self._add(secret_name(variable), service)
        if of_variable:
            self._by_variable[variable] = known
        known.prefix = known.prefix or _PREFIXES.get(variable, "")
        if value:
            self._by_value.setdefault(value, known)
            known.values.add(value)
        self._by_key.setdefault(variable, known)
        known.variables.add(variable)
        known.services.add(service)
        return known

    def _add(self, name: str, service: str = "") -> Secret:
        free = self._names.take(name, f"{service}-{name}" if name in self.all else None)
        secret = Secret(free)
        self.all[free] = secret
        return secret


@dataclass(frozen=True)
class SecretPart:
    """A secret in a text."""

    secret: Secret
    variable: str
    """The name of the variable that holds it, in the compose file."""

    @property
    def text(self) -> str:
        """The reference to it in `secret_environment`."""
        return f"${{{self.secret.name}}}"


Part = str | Reference | SecretPart


def parts_with_secrets(
    key: str, text: str, service: str, secrets: Secrets, variables: Variables
) -> list[Part]:
    """A text in parts: plain text, variables, and the secrets in it.

    :param key: the variable or option that has the text as its value.
    """
    plain = variables.plain(text)
    parts: list[Part] = [
        part.value or ""
        if isinstance(part, Reference) and part.from_default and _has_credentials(part)
        else part
        for part in variables.parts(text)
    ]
    references = [part for part in parts if isinstance(part, Reference)]
    if any(_is_secret(reference) for reference in references):
        return [
            SecretPart(secrets.of_reference(part, service), part.name)
            if isinstance(part, Reference) and _is_secret(part)
            else part
            for part in _with_passwords(key, parts, service, secrets)
        ]
    if is_secret_name(key) and (not is_public_value(plain) or is_always_secret(key)):
        if len(parts) == 1 and references:
            secret = secrets.of_reference(references[0], service)
        elif CREDENTIALS.search(plain):
            return _with_passwords(key, parts, service, secrets)
        else:
            secret = secrets.of_value(key, plain, service)
        return [SecretPart(secret, key)]
    parts = _with_passwords(key, parts, service, secrets)
    if any(isinstance(part, SecretPart) for part in parts):
        return parts
    if is_secret_value(plain) or (is_random(plain) and "KEY" in key.upper()):
        return [SecretPart(secrets.of_value(key, plain, service), key)]
    return _known_values(parts, secrets, key)


def _has_credentials(reference: Reference) -> bool:
    return CREDENTIALS.search(reference.value or "") is not None


def _is_secret(reference: Reference) -> bool:
    if is_public_value(reference.value or ""):
        return False
    return is_secret_name(reference.name) or is_secret_value(reference.value or "")


def _with_passwords(key: str, parts: list[Part], service: str, secrets: Secrets) -> list[Part]:
    """The parts, with secrets in place of passwords in URLs."""
    marks: list[Part] = []
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
        else:
            text += f"\x00{len(marks)}\x01"
            marks.append(part)
    found: list[Part] = []
    at = 0
    for match in CREDENTIALS.finditer(text):
        password = match["password"]
        found.append(text[at : match.start("password")])
        at = match.end("password")
        if inner := re.fullmatch("\x00([0-9]+)\x01", password):
            reference = marks[int(inner[1])]
            if isinstance(reference, Reference):
                name = reference.name if is_secret_name(reference.name) else f"{key}_PASSWORD"
                secret = secrets.of_reference(reference, service)
                found.append(SecretPart(secret, name))
            else:
                found.append(reference)
            continue
        plain = re.sub("\x00([0-9]+)\x01", lambda mark: _plain(marks[int(mark[1])]), password)
        variable = f"{key}_PASSWORD" if "PASSWORD" not in key.upper() else key
        found.append(SecretPart(secrets.of_value(variable, plain, service), variable))
    found.append(text[at:])
    return [
        part
        for piece in found
        for part in (_restored(piece, marks) if isinstance(piece, str) else [piece])
    ]


def _plain(part: Part) -> str:
    return part.value or "" if isinstance(part, Reference) else str(part)


def _restored(text: str, marks: list[Part]) -> list[Part]:
    pieces = re.split("\x00([0-9]+)\x01", text)
    return [
        marks[int(piece)] if position % 2 else piece
        for position, piece in enumerate(pieces)
        if position % 2 or piece
    ]


def _known_values(parts: list[Part], secrets: Secrets, key: str) -> list[Part]:
    """The parts, with secrets in place of the values of known ones."""
    known = {
        value: secret
        for secret in secrets.all.values()
        for value in secret.values
        if len(value) >= SHORTEST_FOUND and not value.isalpha()
    }
    if not known:
        return parts
    pattern = re.compile("|".join(sorted(map(re.escape, known), key=len, reverse=True)))
    found: list[Part] = []
    for part in parts:
        if isinstance(part, str):
            at = 0
            for match in pattern.finditer(part):
                found += [part[at : match.start()], SecretPart(known[match[0]], key)]
                at = match.end()
            found.append(part[at:])
        elif isinstance(part, Reference) and part.value in known:
            found.append(SecretPart(known[part.value], part.name))
        else:
            found.append(part)
    return [part for part in found if part != ""]
