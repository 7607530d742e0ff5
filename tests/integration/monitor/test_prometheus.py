"""The files for Prometheus and Grafana, loaded by Prometheus itself and by its promtool."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.monitor.conftest import MakeRig
from tests.integration.monitor.rig import Rig, ServiceSpec, wait_for
from tests.ports import free_port

CATALOG = Path(__file__).parents[3] / "catalog"
FOLDER = CATALOG / "prometheus"
RULES = FOLDER / "alerts.rules.yml"
DASHBOARD = json.loads((CATALOG / "grafana" / "monitor.json").read_text())


def promtool(*words: str, text: str | None = None) -> None:
    done = subprocess.run(
        ["promtool", *words], cwd=FOLDER, input=text, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def expressions() -> list[str]:
    """Every query of the dashboard, as Grafana sends it when everything is selected."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    found += [entry["expr"] for entry in DASHBOARD["annotations"]["list"]]
    return [text.replace("$instance", ".*").replace("$service", ".*") for text in found]


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:monitor|process)_[a-z_]+\b", text))


@pytest.fixture(scope="module")
def rig(make_rig: MakeRig) -> Rig:
    rig = make_rig().start({"phi": ServiceSpec()}, sink=True)
    rig.becomes("phi", "ok")
    began = rig.behave("phi", "fail")
    rig.wait_for_line("phi", "service recovered", began)
    wait_for(lambda: rig.alerts() or None, lambda: "no alert was delivered")
    return rig


@pytest.fixture(scope="module")
def exposition(rig: Rig) -> str:
    return rig.get("/metrics").decode()


def test_rules_and_configuration_are_valid() -> None:
    promtool("check", "rules", RULES.name)
    promtool("check", "config", "prometheus.yml")


def test_rules_fire_and_stay_silent_as_their_test_file_expects() -> None:
    promtool("test", "rules", "alerts.test.yml")


def test_every_query_of_the_dashboard_parses(tmp_path: Path) -> None:
    rules = [{"record": f"query:{i}", "expr": text} for i, text in enumerate(expressions())]
    path = tmp_path / "queries.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(path))


def test_the_metrics_of_a_real_monitor_pass_the_linter(exposition: str) -> None:
    ours = [line for line in exposition.splitlines(True) if "python_info" not in line]
    promtool("check", "metrics", text="".join(ours))


def test_rules_and_dashboard_name_only_metrics_that_exist(exposition: str) -> None:
    used = names_in(re.sub(r"description:.*|summary:.*", "", RULES.read_text()))
    used |= names_in(" ".join(expressions()))
    assert used - names_in(exposition) == set()


def test_the_dashboard_has_the_shape_that_grafana_imports() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    known = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert panel["type"] in {"stat", "timeseries", "state-timeline", "table"}
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= known
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)), "panels overlap"


@contextlib.contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """A Prometheus of our own with the documented configuration, scraping every second."""
    config = (FOLDER / "prometheus.yml").read_text()
    config = config.replace("monitor:8090", target).replace("30s", "1s")
    (folder / "prometheus.yml").write_text(config)
    shutil.copy(RULES, folder)
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            "prometheus", f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(20)


def query(url: str, expression: str) -> list[Any]:
    text = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{text}", timeout=5) as response:
            found: list[Any] = json.load(response)["data"]["result"]
            return found
    except OSError:
        return []


def test_a_real_prometheus_scrapes_the_monitor_and_has_data_for_the_dashboard(
    rig: Rig, tmp_path: Path
) -> None:
    target = rig.ip_address(rig.monitor, rig.network.name) + ":8090"
    with prometheus(tmp_path, target) as url:
        wait_for(
            lambda: query(url, 'up{job="llm-stack-monitor"} == 1') or None,
            lambda: "the monitor was not scraped",
        )
        (up,) = query(url, 'monitor_probe_up{service="phi"}')
        assert up["value"][1] == "1"
        (restarts,) = query(url, 'monitor_restarts_total{service="phi"}')
        assert restarts["value"][1] == "1"
        with urllib.request.urlopen(f"{url}/api/v1/rules", timeout=30) as response:
            groups = json.load(response)["data"]["groups"]
        assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
        wait_for(
            lambda: query(url, "rate(monitor_checks_total[10s]) > 0") or None,
            lambda: "no second scrape",
        )
        empty = [text for text in expressions() if not query(url, text) and "[24h]" not in text]
        assert [text for text in empty if "> 0" not in text] == []
