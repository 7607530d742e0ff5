"""The schema of one API: the fields that its clients may send, with their types and sizes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.chat.openai.errors import ApiError
from app.chat.schema.checks import Check, Problem, boolean, free, shown, text
from app.chat.settings import UnknownFields

_UNKNOWN = free(values=1000, depth=16, characters=16 * 1024)
# No real request has more, and each is compared with all known names.
_MOST_UNKNOWN = 32
COMMON_FIELDS: Mapping[str, Check] = {"model": text(200, shortest=1), "stream": boolean}


@dataclass(frozen=True)
class Schema:
    """What a client may send to one API.

    :param known: the checks of the fields. A field that is null counts as absent.
    :param required: fields that must be there.
    :param open: whether unknown fields pass in any case.
    """

    known: Mapping[str, Check]
    required: Sequence[str] = ()
    open: bool = False

    def check(self, body: Mapping[str, Any], unknown: UnknownFields) -> None:
        """Raise ApiError 400 for the first field that is not allowed."""
        try:
            self._check(body, unknown)
        except Problem as problem:
            raise ApiError(400, str(problem), code="invalid_request", param=problem.param) from None

    def _check(self, body: Mapping[str, Any], unknown: UnknownFields) -> None:
        others = 0
        for name, check in COMMON_FIELDS.items():
            if body.get(name) is not None:
                check(body[name], name)
        for name, value in body.items():
            own = COMMON_FIELDS.get(name) or self.known.get(name)
            if own is None:
                others += 1
                if others > _MOST_UNKNOWN:
                    raise Problem(shown(name), "is one unknown field too many")
                if not self.open and unknown is UnknownFields.REFUSE:
                    raise self._unknown(name)
                own = _UNKNOWN
            if value is not None:
                own(value, shown(name))

    def check_required(self, body: Mapping[str, Any]) -> None:
        """Raise ApiError 400 if a field is missing."""
        for name in self.required:
            if body.get(name) is None:
                raise ApiError(400, f"'{name}': is missing", code="invalid_request", param=name)

    def _unknown(self, name: str) -> Problem:
        near = difflib.get_close_matches(name[:64], [*self.known, *COMMON_FIELDS], n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return Problem(
            shown(name),
            f"is not a known field{hint} (llm-stack:gateway.unknownFields: pass lets it through)",
        )


OPEN_SCHEMA = Schema({}, open=True)
