"""Parses the JSON of a request body, without ever blocking the event loop for long.

Python's parser accepts more than JSON (NaN, a field twice, half of a surrogate pair), and needs
much more memory and time for many small values than for a few large ones.
"""

from __future__ import annotations

import json
import re
from typing import Any

from app.chat.openai.errors import ApiError

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class _Refused(ValueError):
    """Why a body is not accepted, for the client."""


def parse_body(raw: bytes, most_values: int) -> dict[str, Any]:
    """The object in a body; raises ApiError 400.

    :param most_values: objects, arrays, fields and items.
    """
    count = count_values(raw, most_values)
    if count > most_values:
        message = f"the body has more than {most_values} JSON values"
        raise ApiError(400, message, code="too_many_values")
    try:
        body = _DECODER.decode(raw.decode())
        if _SURROGATE.search(raw):
            # Python keeps half of a surrogate pair; no other parser does.
            json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _invalid("a string has half of a surrogate pair") from None
    except UnicodeDecodeError:
        raise _invalid("it is not UTF-8") from None
    except _Refused as error:
        raise _invalid(str(error)) from None
    except json.JSONDecodeError as error:
        raise _invalid(f"{error.msg} at position {error.pos}") from None
    except RecursionError:
        raise _invalid("it is nested too deeply") from None
    except ValueError:
        raise _invalid("a number has too many digits") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object", code="invalid_json")
    return body


def count_values(raw: bytes, enough: int) -> int:
    """An upper bound of the number of values; exact only if the text could have more than `enough`.

    Each value follows a bracket or a comma.
    """
    if (most := _separators(raw)) <= enough:
        return most
    # The text of prompts has commas and brackets too: leave the strings out.
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 4 * enough:
        return 2 * enough
    return _separators(b"".join(plain.split(b'"')[::2]))


def _separators(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _Refused(f"the field '{name[:64]}' is there twice")
            seen.add(name)
    return fields


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _Refused(f"the number {text[:32]} is too large")
    return value


def _constant(name: str) -> float:
    raise _Refused(f"{name} is not JSON")


def _invalid(reason: str) -> ApiError:
    return ApiError(400, f"the body is not valid JSON: {reason}", code="invalid_json")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_constant
)
