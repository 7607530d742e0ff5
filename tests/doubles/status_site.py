"""A monitor's site whose services are set by tests: nothing is checked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from app.monitor.alerting.alert_sender import AlertSender
from app.monitor.checks.http_client import HttpClient
from app.monitor.decisions.states import State
from app.monitor.settings import Settings
from app.monitor.store.history import History
from app.monitor.store.ring import DAY, QUARTER, RANK
from app.monitor.watch import Watch
from app.monitor.web.metrics import Exposition
from app.monitor.web.web import application


class StatusSite:
    """A monitor that was never started."""

    def __init__(
        self, folder: Path, services: Sequence[Mapping[str, Any]], **settings: object
    ) -> None:
        self.settings = Settings.model_validate(
            {"stack": "dev", "internal": {"state_dir": folder}, "services": services, **settings}
        )
        names = [service.name for service in self.settings.services]
        self.watch = Watch(self.settings, None)  # type: ignore[arg-type]
        self.history = History(names, 30.0, folder, time.time)
        self.http_client = HttpClient.create()
        alert_sender = AlertSender(
            self.settings.alerts,
            "dev",
            folder,
            self.http_client,
            services=names,
            paused=lambda name: False,
        )
        exposition = Exposition(self.watch, alert_sender)
        self.server = TestServer(application(self.watch, self.history, exposition))
        self.client = TestClient(self.server)

    @property
    def url(self) -> str:
        """The address of the pages, without a trailing slash."""
        return str(self.server.make_url("/")).rstrip("/")

    def set_record(self, name: str, **changes: object) -> None:
        """Change the record of a service."""
        record = replace(self.watch.records[name], **changes)  # type: ignore[arg-type]
        self.watch.records[name] = record

    def all_ok(self) -> None:
        """Every service passed a check just now."""
        now = time.time()
        for name, service in self.watch.services.items():
            self.set_record(name, state=State.OK, healthy=True, checked_at=now, latency=0.01)
            self.history.on_check(service, self.watch.records[name])

    def fill_history(self, name: str, failed: Sequence[float] = ()) -> None:
        """Forty good days with a check in each quarter of an hour, but for the given hours ago."""
        past, now = self.history.services[name], time.time()
        for number in range(40 * DAY // QUARTER, -1, -1):
            at = now - number * QUARTER
            good = not any(hours * 3600 <= now - at < hours * 3600 + 2000 for hours in failed)
            rank = RANK[State.OK if good else State.DOWN]
            latency = 0.004 + 0.02 * (number % 24) / 24
            for ring in (past.day, past.months):
                ring.add(at, seconds=QUARTER, good=good, rank=rank, latency=latency)
        past.served_since = now - 40 * DAY

    async def text(self, path: str, **headers: str) -> str:
        """The body of a page."""
        response = await self.client.get(path, headers=headers)
        assert response.status == 200, path
        return await response.text()

    async def close(self) -> None:
        """Stop it."""
        await self.client.close()
        await self.http_client.close()
