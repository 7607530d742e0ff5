"""Values that are no secrets: text, with `${config:NAME}` for what differs by stack."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from toolchain.compose.interpolation import Reference, Variables


@dataclass
class PlainValues:
    """Makes `${config:NAME:-default}` of variables, and collects those without a default."""

    variables: Variables
    needed: dict[str, set[str]] = field(default_factory=dict)
    """By the name under `llm-stack:values`, the services that need it."""
    used: dict[str, str] = field(default_factory=dict)
    """By name, the default."""

    def text(self, text: str, service: str) -> str:
        """The text of a value of the catalogue."""
        return "".join(
            self.reference(part, service) if isinstance(part, Reference) else part
            for part in self.variables.parts(text)
        )

    def reference(self, reference: Reference, service: str) -> str:
        """The text in place of a variable."""
        name = reference.name
        if reference.value is None:
            self.needed.setdefault(name, set()).add(service)
            return f"${{config:{name}}}"
        if not reference.value or re.search(r"[${}\n]", reference.value):
            return reference.value
        # One value of `llm-stack:values` has one default everywhere.
        if self.used.setdefault(name, reference.value) != reference.value:
            return reference.value
        return f"${{config:{name}:-{reference.value}}}"
