"""The pages, the API and the metrics over HTTP."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from app.monitor.alerting.alert_sender import AlertSender
from app.monitor.checks.http_client import HttpClient
from app.monitor.decisions.records import Event, EventType, ServiceRecord
from app.monitor.decisions.states import State
from app.monitor.settings import Settings
from app.monitor.store.history import History
from app.monitor.watch import Watch
from app.monitor.web.metrics import Exposition
from app.monitor.web.web import application

NASTY = "<script>alert(1)</script>"


class Site:
    """A monitor that was never started; tests set the records of its services."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        names = ["phi", "chat", *(f"extra-{number}" for number in range(count - 2))]
        services = [{"name": name, "url": f"http://{name}"} for name in names]
        self.settings = Settings.model_validate(
            {
                "stack": "dev",
                "hosts": ["status.example.com"],
                "internal": {"state_dir": folder},
                "services": services,
            }
        )
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
        app = application(self.watch, self.history, exposition)
        self.client = TestClient(TestServer(app))

    def set_record(self, name: str, **changes: object) -> None:
        record = replace(self.watch.records[name], **changes)  # type: ignore[arg-type]
        self.watch.records[name] = record

    def all_ok(self) -> None:
        now = time.time()
        for name, service in self.watch.services.items():
            self.set_record(name, state=State.OK, healthy=True, checked_at=now, latency=0.01)
            self.history.on_check(service, self.watch.records[name])

    async def text(self, path: str) -> str:
        response = await self.client.get(path)
        assert response.status == 200, path
        return await response.text()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    async with site.client:
        yield site
    await site.http_client.close()


class Text(HTMLParser):
    """Collects the tags and the text of a page; fails on tags that are not closed in order."""

    VOID = frozenset({"meta", "link", "br", "polyline", "line"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.extend(data.split())

    @property
    def text(self) -> str:
        return " ".join(self.words)


async def test_a_healthy_stack_has_a_summary_of_one_sentence(site: Site) -> None:
    site.all_ok()
    page = Text(await site.text("/"))
    assert "All services are working" in page.text
    assert "None so far." in page.text


async def test_the_page_has_no_script_and_allows_none(site: Site) -> None:
    response = await site.client.get("/")
    assert "script" not in Text(await response.text()).tags
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_unhealthy_services_come_first_with_their_reason(site: Site) -> None:
    site.all_ok()
    site.set_record("chat", state=State.STALLED, reason="no token for 121 s", held="3 restarts")
    page = Text(await site.text("/")).text
    assert "chat is not working" in page
    assert page.index("no token for 121 s") < page.index("phi")


async def test_a_response_of_a_service_cannot_become_markup(site: Site) -> None:
    site.set_record("phi", state=State.DOWN, reason=NASTY, held=NASTY)
    phi = site.watch.services["phi"]
    site.history.on_event(phi, Event(EventType.FAILED, "phi", time.time(), NASTY))
    for path in ("/", "/service/phi"):
        assert NASTY not in await site.text(path)


async def test_a_service_has_a_page_with_incidents_and_restarts(site: Site) -> None:
    phi = site.watch.services["phi"]
    for event_type in (EventType.FAILED, EventType.RESTARTED, EventType.GAVE_UP):
        site.history.on_event(phi, Event(event_type, "phi", time.time(), f"because {event_type}"))
    page = Text(await site.text("/service/phi")).text
    assert "restarted : because restarted" in page
    assert "gave up : because gave_up" in page
    assert "1 restart" in page


@pytest.mark.parametrize("path", ["/service/none", "/api/v1/services/none", "/badge/none.svg"])
async def test_unknown_services_are_not_found(site: Site, path: str) -> None:
    assert (await site.client.get(path)).status == 404


async def test_nothing_can_be_changed_over_the_network(site: Site) -> None:
    for path in ("/", "/pause", "/resume", "/api/v1/status"):
        assert (await site.client.post(path)).status in (404, 405)


async def test_the_api_has_what_the_page_shows(site: Site) -> None:
    site.all_ok()
    body = await (await site.client.get("/api/v1/status")).json()
    assert [service["name"] for service in body["services"]] == ["phi", "chat", "extra-0"]
    assert body["services"][0]["uptime"] == {"24h": 1.0, "90d": 1.0}
    one = await (await site.client.get("/api/v1/services/phi")).json()
    assert (one["state"], one["incidents"]) == ("ok", [])


async def test_a_badge_is_an_image(site: Site) -> None:
    site.all_ok()
    badge = ElementTree.fromstring(await site.text("/badge/phi.svg"))
    assert badge.tag == "{http://www.w3.org/2000/svg}svg"
    assert badge.attrib["aria-label"] == "phi: ok"


async def test_metrics_can_be_parsed_and_have_states_and_restarts(site: Site) -> None:
    site.all_ok()
    site.set_record(
        "chat",
        state=State.DOWN,
        restarts_total=2,
        last_restart_at=5.0,
        last_restart_code="refused",
        gave_up_at=9.0,
    )
    families = text_string_to_metric_families(await site.text("/metrics"))
    samples = {(s.name, *sorted(s.labels.items())): s.value for f in families for s in f.samples}
    chat, http = ("service", "chat"), ("kind", "http")
    assert samples["monitor_probe_up", http, chat] == 0
    assert samples["monitor_probe_up", http, ("service", "phi")] == 1
    assert samples["monitor_service_state", chat, ("state", "down")] == 1
    assert samples["monitor_service_state", chat, ("state", "ok")] == 0
    assert samples["monitor_restarts_total", chat] == 2
    assert samples["monitor_last_restart_reason", ("reason", "refused"), chat] == 1
    assert samples["monitor_gave_up", chat] == 1


async def test_health_is_about_the_monitor_itself(site: Site) -> None:
    assert (await site.client.get("/health")).status == 200
    site.watch.state_writable = False
    response = await site.client.get("/health")
    assert response.status == 503
    assert (await response.json())["faults"] == ["its state cannot be saved"]
    site.watch.state_writable = True
    site.watch.last_check_at -= 1000
    assert (await site.client.get("/health")).status == 503


async def test_many_services_make_a_page_of_bounded_size(tmp_path: Path) -> None:
    site = Site(tmp_path, count=500)
    async with site.client:
        site.all_ok()
        page = await site.text("/")
        assert len(page) < 300_000
        assert "extra-497" in page
    await site.http_client.close()


def test_a_new_service_is_unknown() -> None:
    assert ServiceRecord().state is State.UNKNOWN


@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/metrics", "/health", "/nothing"])
async def test_a_rebound_host_name_reads_nothing(site: Site, path: str) -> None:
    response = await site.client.get(path, headers={"Host": "evil.example:8090"})
    assert response.status == 421
    assert "llm-stack:monitor.hosts" in await response.text()
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["localhost:8090", "127.0.0.1:1", "[::1]", "monitor:8090", "Status.Example.com:443"]
)
async def test_its_own_names_are_answered(site: Site, host: str) -> None:
    response = await site.client.get("/api/v1/status", headers={"Host": host})
    assert response.status == 200
