"""Where clients send their API key: OpenAI's and Anthropic's headers."""

from __future__ import annotations

from collections.abc import Mapping

_ANTHROPIC_HEADER = "x-api-key"


def authorization_of(headers: Mapping[str, str]) -> str | None:
    """The Authorization header, or what it would be for the key in Anthropic's header."""
    authorization = headers.get("authorization")
    if authorization is None and (key := headers.get(_ANTHROPIC_HEADER)):
        return f"Bearer {key}"
    return authorization
