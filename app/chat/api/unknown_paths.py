"""Errors for paths and methods that the API does not have, with the nearest one that it has."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.routing import BaseRoute, Match, Route

from app.chat.apis.table import API_OF_PATH
from app.chat.openai.errors import ApiError

# Prefixes of other servers' APIs, or none, in place of /v1.
_PREFIX = re.compile(r"^(/(api|openai|v\d+(beta|alpha)?))*(?=/)")
# Ollama's own API, which its clients use unless they are set to OpenAI's.
_OLLAMA = {
    "/api/chat": "/v1/chat/completions",
    "/api/generate": "/v1/completions",
    "/api/embed": "/v1/embeddings",
    "/api/embeddings": "/v1/embeddings",
    "/api/tags": "/v1/models",
    "/api/show": "/v1/models",
}
_LIKENESS = 0.75
_LONGEST_PATH = 200


def install_unknown_paths(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Answer 404 for a path without a route, and 405 for a route without the method.

    The static files of the page are below `/`, so that the framework has a route for every path.

    :param routes: those of the framework; those of requests to models are in front of it.
    """

    async def answer(request: Request, _: Exception) -> Response:
        error, headers = _unknown(request, routes)
        response = error.response(request.scope)
        response.headers.update(headers)
        return response

    app.add_exception_handler(404, answer)
    app.add_exception_handler(405, answer)


def _unknown(request: Request, routes: Iterable[BaseRoute]) -> tuple[ApiError, Mapping[str, str]]:
    path = request.url.path[:_LONGEST_PATH]
    api = [route for route in routes if isinstance(route, Route)]
    if methods := _methods_at(request, api):
        message = f"{path} does not have the method {request.method}; it has: {', '.join(methods)}"
        return ApiError(405, message, code="method_not_allowed"), {"allow": ", ".join(methods)}
    nearest = _nearest(path, [*API_OF_PATH, *(route.path for route in api)])
    hint = f"; did you mean {nearest}?" if nearest else ""
    return ApiError(404, f"{request.method} {path}: not found{hint}", code="not_found"), {}


def _methods_at(request: Request, routes: Iterable[Route]) -> list[str]:
    """The methods of the requested path; empty if it has no route."""
    methods = {"POST"} if request.url.path in API_OF_PATH else set()
    for route in routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= route.methods or set()
    if "GET" in methods:
        methods.add("HEAD")
    return sorted(methods - {"OPTIONS"})


def _nearest(path: str, known: Iterable[str]) -> str | None:
    """The path of the API that a client most likely means."""
    fixed = [one for one in known if "{" not in one and one != "/"]
    bare = re.sub("/{2,}", "/", path.lower()).rstrip("/")
    if bare in _OLLAMA:
        return f"{_OLLAMA[bare]} (OpenAI's API in place of Ollama's)"
    end = _PREFIX.sub("", bare)
    for one in fixed:
        if one in (bare, end, f"/v1{end}"):
            return one
    found = difflib.get_close_matches(f"/v1{end}", fixed, n=1, cutoff=_LIKENESS)
    return found[0] if found else None
