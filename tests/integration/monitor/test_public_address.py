"""The monitor's image against a public address with a certificate of the company's own authority,
and in a maintenance window of a time zone that the image has to know."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from docker.types import Mount

from tests.doubles.certificates import company
from tests.integration.monitor.conftest import MakeRig
from tests.integration.monitor.rig import Rig, ServiceSpec, wait_for

HOST = "chat.example.com"
EDGE = Path(__file__).parents[2] / "doubles" / "public_edge.py"
ADDRESS = ServiceSpec(
    kind="public",
    config={
        "url": f"https://{HOST}/health",
        "public": {"sign_in": True},
        "restart": False,
        "start_grace": 0,
    },
)


@pytest.fixture
def edge_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "edge"
    folder.mkdir()
    return folder


@pytest.fixture
def rig(make_rig: MakeRig, edge_folder: Path, tmp_path: Path) -> Rig:
    made = company(edge_folder, HOST, days=60)
    now = datetime.now(ZoneInfo("Europe/Berlin"))
    rig = make_rig()
    rig.monitor_environment = {"EXTRA_CA_FILE": "/run/config/company.pem"}
    rig.config_files = {"company.pem": made.authority.read_text()}
    rig.monitor_settings = {
        "maintenance": [
            {
                "services": ["phi"],
                "start": now.strftime("%H:%M"),
                "duration": 3600,
                "time_zone": "Europe/Berlin",
            }
        ]
    }
    rig.start({"phi": ServiceSpec(), "chat-public": ADDRESS}, sink=True)
    edge = rig.engine.containers.create(
        "python:3.11-slim",
        ["python3", "/public_edge.py"],
        name=f"{rig.stack}-edge",
        labels=rig.labels,
        mounts=[
            Mount("/public_edge.py", str(EDGE), type="bind", read_only=True),
            Mount("/edge", str(edge_folder), type="bind", read_only=True),
        ],
        network=rig.network.name,
    )
    rig.join(edge, HOST)
    edge.start()
    return rig


def test_an_address_that_loses_its_sign_in_is_alerted_and_maintenance_is_not(
    rig: Rig, edge_folder: Path
) -> None:
    assert rig.becomes("chat-public", "ok")["reason"] == "asks for a sign-in"
    rig.behave("phi", "fail")
    assert rig.becomes("phi", "down")["maintenance_until"]
    (edge_folder / "open").touch()
    found = rig.becomes("chat-public", "down")
    assert "open to everyone: HTTP 200" in found["reason"]
    wait_for(
        lambda: [one for one in rig.alerts() if one["service"] == "chat-public"] or None,
        lambda: "no alert about the open address was delivered",
    )
    assert {alert["service"] for alert in rig.alerts()} == {"chat-public"}
    assert rig.restarts("phi") == 0
