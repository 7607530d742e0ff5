"""A request that forces one tool by its name.

llama-server ignores such a `tool_choice`, which the model then does not have to call. It honours
`required`, so the request is sent with that tool alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.chat.openai.errors import ApiError


def only_tool(tools: object, name: str, name_of: Callable[[Mapping[str, Any]], object]) -> Any:
    """The tool with this name, in a list; raises ApiError 400 if there is none."""
    entries = tools if isinstance(tools, list) else []
    found = [tool for tool in entries if isinstance(tool, dict) and name_of(tool) == name]
    if not found:
        raise ApiError(
            400,
            f"'tool_choice' names the function '{name[:100]}', which is not in 'tools'",
            code="invalid_request",
            param="tool_choice",
        )
    return found[:1]
