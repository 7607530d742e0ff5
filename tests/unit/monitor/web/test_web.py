"""The pages, the API and the metrics over HTTP."""

import re
import time
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.monitor.decisions.records import Event, EventType, PendingRestart, ServiceRecord
from app.monitor.decisions.states import State
from tests.doubles.status_site import StatusSite

ROOT = Path(__file__).parents[4]
NASTY = "<script>alert(1)</script>"


def stack_of(folder: Path, count: int) -> StatusSite:
    names = ["phi", "chat", *(f"extra-{number}" for number in range(count - 2))]
    services = [{"name": name, "url": f"http://{name}"} for name in names]
    return StatusSite(folder, services, hosts=["status.example.com"])


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[StatusSite]:
    site = stack_of(tmp_path, 3)
    async with site.client:
        yield site
    await site.close()


class Text(HTMLParser):
    """Collects the tags and the text of a page; fails on tags that are not closed in order."""

    VOID = frozenset({"meta", "link", "br", "polyline", "path", "rect"})

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


async def test_a_healthy_stack_has_a_summary_of_one_sentence(site: StatusSite) -> None:
    site.all_ok()
    page = Text(await site.text("/"))
    assert "All systems operational" in page.text
    assert "No incidents" in page.text


async def test_only_the_script_of_the_monitor_may_run(site: StatusSite) -> None:
    response = await site.client.get("/")
    page = Text(await response.text())
    assert page.tags.count("script") == 1
    assert not [word for word in page.words if "refresh" in word.lower() and "=" in word]
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'" in policy
    assert "unsafe" not in policy
    script = await site.client.get("/status.js")
    assert script.content_type == "text/javascript"


async def test_unhealthy_services_come_first_with_their_reason(site: StatusSite) -> None:
    site.all_ok()
    site.set_record("chat", state=State.STALLED, reason="no token for 121 s", held="3 restarts")
    page = Text(await site.text("/")).text
    assert "chat is down" in page
    assert page.index("No token for 121 s") < page.index("phi")


async def test_a_response_of_a_service_cannot_become_markup(site: StatusSite) -> None:
    site.set_record("phi", state=State.DOWN, reason=NASTY, held=NASTY)
    phi = site.watch.services["phi"]
    site.history.on_event(phi, Event(EventType.FAILED, "phi", time.time(), NASTY))
    for path in ("/", "/service/phi"):
        assert NASTY not in await site.text(path)


async def test_a_service_has_a_page_with_incidents_and_restarts(site: StatusSite) -> None:
    phi = site.watch.services["phi"]
    for event_type in (EventType.FAILED, EventType.RESTARTED, EventType.GAVE_UP):
        site.history.on_event(phi, Event(event_type, "phi", time.time(), f"because {event_type}"))
    page = Text(await site.text("/service/phi")).text
    assert "Restarted : because restarted" in page
    assert "Gave up : because gave_up" in page
    assert "1 restart" in page


@pytest.mark.parametrize("path", ["/service/none", "/api/v1/services/none", "/badge/none.svg"])
async def test_unknown_services_are_not_found(site: StatusSite, path: str) -> None:
    assert (await site.client.get(path)).status == 404


async def test_nothing_can_be_changed_over_the_network(site: StatusSite) -> None:
    for path in ("/", "/pause", "/resume", "/api/v1/status"):
        assert (await site.client.post(path)).status in (404, 405)


async def test_the_api_has_what_the_page_shows(site: StatusSite) -> None:
    site.all_ok()
    body = await (await site.client.get("/api/v1/status")).json()
    assert [service["name"] for service in body["services"]] == ["phi", "chat", "extra-0"]
    uptime = body["services"][0]["uptime"]
    assert (uptime["24h"], uptime["90d"]) == (1.0, 1.0)
    assert uptime["counted_since"].endswith("+00:00")
    one = await (await site.client.get("/api/v1/services/phi")).json()
    assert (one["state"], one["incidents"]) == ("ok", [])


async def test_a_restart_that_is_under_way_is_shown(site: StatusSite) -> None:
    pending = PendingRestart(1.0, 0.0, False, "timeout", "no response within 5 s")
    site.set_record("phi", state=State.DOWN, pending=pending)
    for path in ("/", "/service/phi"):
        assert "A restart is under way." in Text(await site.text(path)).text
    one = await (await site.client.get("/api/v1/services/phi")).json()
    assert one["restarting"] is True


async def test_models_stand_beside_their_service_with_a_link_to_the_chat(tmp_path: Path) -> None:
    services = [
        {
            "name": "phi-inference",
            "kind": "inference",
            "url": "http://phi-inference:8000",
            "models": [
                {"name": "phi-3-mini", "placeholder": "smollm2-135m"},
                {"name": "a/model", "placeholder": None},
            ],
        }
    ]
    chat = {"url": "https://chat.example.com/", "port": 8080}
    site = StatusSite(tmp_path, services, chat=chat, hosts=["status.example.com"])
    async with site.client:
        for path in ("/", "/service/phi-inference"):
            page = await site.text(path, Host="status.example.com")
            assert 'href="https://chat.example.com/?models=phi-3-mini"' in page
            assert 'href="https://chat.example.com/?models=a%2Fmodel"' in page
            api = await (await site.client.get("/api/v1/services/phi-inference")).json()
            assert api["models"][0] == {"name": "phi-3-mini", "placeholder": "smollm2-135m"}
            assert "are placeholder text from “smollm2-135m”" in Text(page).text
            local = await site.text(path, Host="localhost:8090")
            assert 'href="http://localhost:8080/?models=phi-3-mini"' in local
    await site.close()


async def test_without_an_address_there_is_no_link_to_the_chat(tmp_path: Path) -> None:
    model = {"name": "phi-3-mini"}
    service = {"name": "phi", "kind": "inference", "url": "http://phi:8000", "models": [model]}
    site = StatusSite(tmp_path, [service], chat={"port": 8080}, hosts=["status.example.com"])
    async with site.client:
        page = await site.text("/", Host="status.example.com")
        assert "phi-3-mini" in page
        assert "?models=" not in page
    await site.close()


async def test_the_page_of_a_service_has_its_checks(site: StatusSite) -> None:
    site.all_ok()
    page = Text(await site.text("/service/phi")).text
    assert "HTTP 200, every 30 s" in page
    assert "3 failed checks in a row; up again after 2 passed" in page
    assert "No restarts by the monitor. At most 5 within 1 h." in page


async def test_a_service_in_maintenance_is_expected_to_fail(tmp_path: Path) -> None:
    services = [{"name": name, "url": f"http://{name}"} for name in ("phi", "chat")]
    windows = [{"services": ["phi"], "start": "00:00", "duration": 86_400}]
    site = StatusSite(tmp_path, services, maintenance=windows)
    async with site.client:
        site.all_ok()
        site.set_record("phi", state=State.DOWN, reason="connection refused")
        page = Text(await site.text("/")).text
        assert "phi is in maintenance" in page
        assert "Maintenance until" in page
        one = await (await site.client.get("/api/v1/services/phi")).json()
        assert one["maintenance_until"].endswith("T00:00:00+00:00")
        assert 'monitor_maintenance{service="phi"} 1.0' in await site.text("/metrics")
        assert 'monitor_maintenance{service="chat"} 0.0' in await site.text("/metrics")
    await site.close()


async def test_a_badge_is_an_image(site: StatusSite) -> None:
    site.all_ok()
    badge = ElementTree.fromstring(await site.text("/badge/phi.svg"))
    assert badge.tag == "{http://www.w3.org/2000/svg}svg"
    assert badge.attrib["aria-label"] == "phi: ok"


async def test_metrics_can_be_parsed_and_have_states_and_restarts(site: StatusSite) -> None:
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


async def test_health_is_about_the_monitor_itself(site: StatusSite) -> None:
    assert (await site.client.get("/health")).status == 200
    site.watch.state_writable = False
    response = await site.client.get("/health")
    assert response.status == 503
    assert (await response.json())["faults"] == ["its state cannot be saved"]
    site.watch.state_writable = True
    site.watch.last_check_at -= 1000
    assert (await site.client.get("/health")).status == 503


async def test_many_services_make_a_page_of_bounded_size(tmp_path: Path) -> None:
    site = stack_of(tmp_path, 500)
    async with site.client:
        site.all_ok()
        page = await site.text("/")
        assert len(page) < 300_000
        assert "extra-497" in page
    await site.close()


def test_a_new_service_is_unknown() -> None:
    assert ServiceRecord().state is State.UNKNOWN


@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/metrics", "/health", "/nothing"])
async def test_a_rebound_host_name_reads_nothing(site: StatusSite, path: str) -> None:
    response = await site.client.get(path, headers={"Host": "evil.example:8090"})
    assert response.status == 421
    assert "llm-stack:monitor.hosts" in await response.text()
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["localhost:8090", "127.0.0.1:1", "[::1]", "monitor:8090", "Status.Example.com:443"]
)
async def test_its_own_names_are_answered(site: StatusSite, host: str) -> None:
    response = await site.client.get("/api/v1/status", headers={"Host": host})
    assert response.status == 200


def test_the_look_is_that_of_the_chat_page() -> None:
    chat, status = (
        dict(re.findall(r"^  (--[a-z-]+):\s*([^;]+);", path.read_text(), re.MULTILINE))
        for path in (
            ROOT / "app/chat/web/src/styles/tokens.css",
            ROOT / "app/monitor/web/static/style.css",
        )
    )
    shared = chat.keys() & status.keys()
    assert {"--paper", "--ink", "--accent", "--sans", "--round", "--good", "--bad"} <= shared
    assert {name: status[name] for name in shared} == {name: chat[name] for name in shared}
    icons = [ROOT / "app/chat/web/public", ROOT / "app/monitor/web/static"]
    assert len({(folder / "favicon.svg").read_text() for folder in icons}) == 1
