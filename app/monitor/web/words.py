"""Words and looks of the status page: states, kinds and events, as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.monitor.alerting.messages import duration
from app.monitor.decisions.records import EventType, ServiceRecord, is_serving
from app.monitor.decisions.states import FAILED, State
from app.monitor.settings import Expectation, Kind, PublicAddress, Service

LOOKS = ("bad", "warn", "wait", "none", "good")
"""CSS classes of states, from worst to best."""

LEGEND = (
    ("good", "Up"),
    ("warn", "Degraded, or down for a short time"),
    ("bad", "Down"),
    ("wait", "Starting or loading"),
    ("none", "No data"),
)

STATES = {
    State.OK: "Up",
    State.BUSY: "Busy",
    State.LOADING: "Loading",
    State.STARTING: "Starting",
    State.DRAINING: "Stopping",
    State.DEGRADED: "Degraded",
    State.STALLED: "Stalled",
    State.DOWN: "Down",
    State.UNKNOWN: "No data",
}

KINDS = {
    Kind.HTTP: "Web service",
    Kind.TCP: "TCP service",
    Kind.INFERENCE: "Model server",
    Kind.CHAT: "Chat",
    Kind.CONNECTOR: "Tunnel",
    Kind.PUBLIC: "Public address",
}

EVENTS = {
    EventType.RESTARTED: "Restarted",
    EventType.RESTARTED_ELSEWHERE: "Restarted by Docker or a person",
    EventType.RESTART_HELD: "Not restarted",
    EventType.RESTART_FAILED: "Restart failed",
    EventType.GAVE_UP: "Gave up",
    EventType.RECOVERED: "Recovered",
    EventType.PAUSED: "Paused",
    EventType.RESUMED: "Resumed",
}


def look(state: State | None) -> str:
    """The CSS class in which a state is drawn."""
    if state is None or state is State.UNKNOWN:
        return "none"
    if state in FAILED:
        return "bad"
    if state is State.DEGRADED:
        return "warn"
    return "good" if state in (State.OK, State.BUSY) else "wait"


def condition(record: ServiceRecord, now: float) -> str:
    """The state of a service as a short sentence, with how long it has lasted."""
    if record.state in (State.OK, State.BUSY) and is_serving(record):
        begun = record.since if record.healthy_since is None else record.healthy_since
        up = f"up {duration(now - begun)}"
        said_up = record.reason.startswith("HTTP 2")
        return _capital(up) if said_up else f"{_capital(record.reason)}, {up}"
    if record.state is State.UNKNOWN:
        return _capital(record.reason)
    return f"{_capital(record.reason)}, for {duration(now - record.since)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def summary(looks: Mapping[str, str], maintained: Sequence[str]) -> tuple[str, str]:
    """One sentence about all services, by their looks, and the look of the sentence.

    :param maintained: services in maintenance, whose failures are expected.
    """
    expected = set(maintained)
    looks = {name: kind for name, kind in looks.items() if name not in expected}
    for kind, one, several in (
        ("bad", "is down", "are down"),
        ("warn", "is degraded", "are degraded"),
        ("wait", "is not ready yet", "are not ready yet"),
        ("none", "is not checked yet", "are not checked yet"),
    ):
        if names := [name for name, found in looks.items() if found == kind]:
            return _sentence(names, one, several), kind if kind != "none" else "wait"
    if maintained:
        return _sentence(maintained, "is in maintenance", "are in maintenance"), "wait"
    return "All systems operational", "good"


def _sentence(names: Sequence[str], one: str, several: str) -> str:
    return f"{names[0]} {one}" if len(names) == 1 else f"{len(names)} services {several}"


def check_method(service: Service) -> str:
    """What a check of a service requests, and what it expects."""
    if service.kind is Kind.TCP:
        return "Opens a TCP connection"
    if service.kind is Kind.CONNECTOR:
        return "The tunnel has a connection to Cloudflare"
    if service.kind is Kind.CHAT:
        return "The gateway responds, and a model is ready"
    if service.kind is Kind.INFERENCE:
        return "The server responds, and its requests advance" + _within(service.expect)
    if service.kind is Kind.PUBLIC:
        address = service.public or PublicAddress()
        asks = "asks for a sign-in" if address.sign_in else "answers"
        return (
            "From outside: the name resolves, the address "
            f"{asks}, and its certificate is valid for {address.certificate_days} days"
        )
    statuses = " or ".join(str(status) for status in service.expect.status)
    more = ", with the expected content" if _has_content(service.expect) else ""
    return f"HTTP {statuses}{_within(service.expect)}{more}"


def _within(expect: Expectation) -> str:
    return f" within {expect.max_seconds:g} s" if expect.max_seconds is not None else ""


def _has_content(expect: Expectation) -> bool:
    return expect.body_contains is not None or bool(expect.json_values)
