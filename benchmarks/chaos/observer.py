"""What a client, the status page and the alerts show while a fault lasts."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.chaos.stack import (
    CHAT_PORT,
    PAGE_PORT,
    RESTARTER,
    SINK_PORT,
    WAIT_SECONDS,
    wait_for,
)

REQUEST_PAUSE = 0.2
REQUEST_SECONDS = 15.0
POLL_SECONDS = 0.2
WORKING = ("ok", "busy")
MODELS = ("mini", "second")


@dataclass(frozen=True)
class Answer:
    """The answer to one request of the client."""

    asked: float
    model: str
    seconds: float
    problem: str


@dataclass(frozen=True)
class Seen:
    """A change of a service in the monitor's API."""

    at: float
    service: str
    state: str
    reason: str
    held: str

    @property
    def works(self) -> bool:
        return self.state in WORKING


@dataclass
class Observer:
    """Sends a request each 0.2 s to each of two models, reads the status page, receives alerts."""

    answers: list[Answer] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    away: list[tuple[float, float]] = field(default_factory=list)
    """When the status page did not answer."""
    alerts: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    checked: dict[str, tuple[str, float]] = field(default_factory=dict)
    """The last check of each service by the monitor's clock, and when it was first seen here."""
    stopping: threading.Event = field(default_factory=threading.Event)

    def last(self, service: str) -> Seen | None:
        return next((one for one in reversed(self.seen) if one.service == service), None)

    def first(
        self, service: str, since: float, fits: Callable[[Seen], bool] = lambda one: True
    ) -> Seen | None:
        mine = (one for one in self.seen if one.service == service and one.at >= since)
        return next((one for one in mine if fits(one)), None)

    def wait_until_failed(self, service: str, since: float) -> Seen:
        return wait_for(
            lambda: self.first(service, since, lambda one: not one.works), f"failure of {service}"
        )

    def wait_until_works(self, service: str, since: float) -> Seen:
        return wait_for(
            lambda: self.first(service, since, lambda one: one.works), f"recovery of {service}"
        )

    def wait_for_alert(self, service: str, event: str, since: float) -> None:
        def look() -> bool | None:
            return (service, event) in self.alerts_since(since) or None

        wait_for(look, f"alert of {service}: {event}")

    def wait_until_quiet(self, seconds: float = 6.0, within: float = WAIT_SECONDS) -> None:
        """Wait until everything works, no request has failed for some seconds, and the monitor has
        checked each service again: else it takes the next fault for one of a service that starts.
        """
        began = time.time()

        def look() -> bool | None:
            services = {one.service for one in self.seen}
            if any(noted < began for _, noted in self.checked.values()):
                return None
            recent = [one for one in self.answers if one.asked > time.time() - seconds]
            works = all((last := self.last(name)) and last.works for name in services)
            served = len(recent) > seconds and not any(one.problem for one in recent)
            return (works and served) or None

        wait_for(look, "a stack that works", within)

    def usage_is_written(self) -> bool | None:
        """The gateway's own metric of its usage store; None while it does not answer."""
        with contextlib.suppress(httpx.HTTPError):
            text = httpx.get(f"http://127.0.0.1:{CHAT_PORT}/metrics").text
            return "gateway_usage_written 1.0" in text
        return None

    def alerts_since(self, since: float) -> list[tuple[str, str]]:
        return [(one["service"], one["event"]) for at, one in self.alerts if at >= since]

    def lost(self, since: float, until: float) -> list[Answer]:
        """Requests that failed, of those sent in this time."""
        return [one for one in self.answers if one.problem and since <= one.asked <= until]

    def sent(self, since: float, until: float) -> int:
        return sum(since <= one.asked <= until for one in self.answers)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        server = http.server.ThreadingHTTPServer(("", SINK_PORT), self._receiver())
        threads = [
            threading.Thread(target=run, daemon=True)
            for run in (server.serve_forever, self._poll, lambda: asyncio.run(self._ask()))
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            server.shutdown()
            server.server_close()
            for thread in threads:
                thread.join()

    def _receiver(self) -> type[http.server.BaseHTTPRequestHandler]:
        alerts = self.alerts

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path == "/alerts":
                    now = time.time()
                    alerts.extend((now, one) for one in json.loads(body)["alerts"])
                self._end()

            def do_GET(self) -> None:
                self._end()

            def _end(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        return Receiver

    def _poll(self) -> None:
        began: float | None = None
        with httpx.Client(base_url=f"http://127.0.0.1:{PAGE_PORT}", timeout=5) as client:
            while not self.stopping.wait(POLL_SECONDS):
                now = time.time()
                try:
                    found = client.get("/api/v1/status").raise_for_status().json()
                except httpx.HTTPError:
                    began = began or now
                    continue
                if began:
                    self.away.append((began, now))
                    began = None
                for one in found["services"]:
                    if self.checked.get(one["name"], ("", now))[0] != one["checked_at"]:
                        self.checked[one["name"]] = (one["checked_at"], now)
                    self._note(
                        Seen(now, one["name"], one["state"], one["reason"], one["held"] or "")
                    )
                # None until a monitor that was just started has sent its first check.
                if (works := found["restarter_works"]) is not None:
                    self._note(Seen(now, RESTARTER, "ok" if works else "down", "does not work", ""))

    def _note(self, change: Seen) -> None:
        last = self.last(change.service)
        if last is None or (last.state, last.held) != (change.state, change.held):
            self.seen.append(change)

    async def _ask(self) -> None:
        # Each request has a connection of its own, as from another client.
        limits = httpx.Limits(max_keepalive_connections=0)
        url = f"http://127.0.0.1:{CHAT_PORT}"
        async with (
            httpx.AsyncClient(base_url=url, timeout=REQUEST_SECONDS, limits=limits) as client,
            asyncio.TaskGroup() as tasks,
        ):
            while not self.stopping.is_set():
                for model in MODELS:
                    tasks.create_task(self._request(client, model))
                await asyncio.sleep(REQUEST_PAUSE)

    async def _request(self, client: httpx.AsyncClient, model: str) -> None:
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        asked = time.time()
        try:
            answer = await client.post("/v1/chat/completions", json=body)
            problem = "" if answer.status_code == 200 else f"HTTP {answer.status_code}"
        except httpx.HTTPError as error:
            problem = type(error).__name__
        self.answers.append(Answer(asked, model, time.time() - asked, problem))
