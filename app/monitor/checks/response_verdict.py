"""The verdict on one HTTP response: by its status, its body and its time."""

from __future__ import annotations

from app.monitor.checks.http_client import HttpResponse
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import Expectation

# Error type of llama-server until its model is loaded, and of its container during a download.
NOT_READY_TYPE = "unavailable_error"

LOADING_WORDS = ("loading", "starting", "downloading", "fetching")


def judge_response(response: HttpResponse, expect: Expectation) -> Verdict:
    """The verdict on a response, which must meet the conditions of the service."""
    word = _status_word(response)
    if response.status == 503 and _error_type(response) == NOT_READY_TYPE:
        loads = "loading model" in response.text.lower()
        reason = "loads its model" if loads else f"not ready yet: {detail(response)}"
        return Verdict(State.LOADING, "loading", reason, response.seconds)
    if word in LOADING_WORDS:
        return Verdict(State.LOADING, "loading", f"reports status {word!r}", response.seconds)
    if word == "draining":
        reason = "drains: finishes its open requests"
        return Verdict(State.DRAINING, "draining", reason, response.seconds)
    if response.status not in expect.status:
        return _failed(response, f"http_{response.status}", detail(response))
    if expect.body_contains is not None and expect.body_contains not in response.text:
        return _failed(response, "body", f"the body does not contain {expect.body_contains!r}")
    for path, expected in expect.json_values.items():
        found = _value_at(response, path)
        if found != expected:
            return _failed(response, "body", f"{path} is {found!r}, not {expected!r}")
    if expect.max_seconds is not None and response.seconds > expect.max_seconds:
        reason = f"took {response.seconds:.2f} s, more than {expect.max_seconds:g} s"
        return Verdict(State.DEGRADED, "slow", reason, response.seconds)
    return Verdict(State.OK, "ok", f"HTTP {response.status}", response.seconds)


def _failed(response: HttpResponse, code: str, reason: str) -> Verdict:
    return Verdict(State.DOWN, code, reason, response.seconds, excusable=True)


def detail(response: HttpResponse) -> str:
    """The status of an error response, and the reason in its body, if there is one."""
    error = response.member("error")
    reason = error.get("message") if isinstance(error, dict) else error
    reason = reason or response.member("reason") or response.member("status")
    return f"HTTP {response.status}" + (f" ({str(reason)[:120]})" if reason else "")


def _error_type(response: HttpResponse) -> object:
    error = response.member("error")
    return error.get("type") if isinstance(error, dict) else None


def _status_word(response: HttpResponse) -> str:
    word = response.member("status")
    return word.lower() if isinstance(word, str) else ""


def _value_at(response: HttpResponse, path: str) -> object:
    found = response.json
    for part in path.split("."):
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found
