"""Published ports: `ports`."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from components.config.compose.ports import PublishedPort
from tests.unit.components.config.compose.container_entry import problem, service

FORM = "allowed: '8080:80', '0.0.0.0:8080:80' or '5353:53/udp', in quotes"
RANGE = "allowed: ports from 1 to 65535"


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8080:80", PublishedPort(8080, 80, "127.0.0.1", "tcp")),
        ("8080:80/tcp", PublishedPort(8080, 80, "127.0.0.1", "tcp")),
        ("0.0.0.0:9000:9000", PublishedPort(9000, 9000, "0.0.0.0", "tcp")),
        ("192.0.2.7:53:5353/udp", PublishedPort(53, 5353, "192.0.2.7", "udp")),
        ("[::1]:8080:80", PublishedPort(8080, 80, "::1", "tcp")),
        ("[::]:8080:80", PublishedPort(8080, 80, "::", "tcp")),
        ("1:65535", PublishedPort(1, 65535, "127.0.0.1", "tcp")),
    ],
)
def test_a_port_is_published_on_the_loopback_address_unless_one_is_written(
    text: str, port: PublishedPort
) -> None:
    assert service(ports=[text]).ports == (port,)


@pytest.mark.parametrize(
    ("port", "allowed"),
    [
        ("80", FORM),
        (80, FORM),
        ("3000-3005:3000-3005", FORM),
        ("8080:80/sctp", FORM),
        ("localhost:8080:80", FORM),
        (":8080:80", FORM),
        ("8080:", FORM),
        ("::1:8080:80", FORM),
        ({"target": 80}, FORM),
        ("0:80", RANGE),
        ("8080:0", RANGE),
        ("70000:80", RANGE),
        ("80:65536", RANGE),
    ],
)
def test_a_port_of_another_form_is_refused(port: Any, allowed: str) -> None:
    found = "" if isinstance(port, dict) else f" found {port!r};"
    assert problem(ports=[port]) == f"ports.0: is not a valid published port;{found} {allowed}"


def test_a_port_that_yaml_reads_as_a_number_is_refused() -> None:
    ports = yaml.safe_load("[22:22]")
    assert ports == [22 * 60 + 22]
    assert problem(ports=ports) == f"ports.0: is not a valid published port; found 1342; {FORM}"


def test_an_address_that_is_none_is_refused() -> None:
    assert problem(ports=["300.1.1.1:8080:80"]) == (
        "ports.0: has '300.1.1.1' in place of an IP address; found '300.1.1.1:8080:80'; " + FORM
    )


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("8080:80", "8080:81", True),
        ("8080:80", "8081:80", False),
        ("8080:80", "8080:80/udp", False),
        ("8080:80", "0.0.0.0:8080:80", True),
        ("0.0.0.0:8080:80", "192.0.2.7:8080:80", True),
        ("8080:80", "192.0.2.7:8080:80", False),
        ("[::]:8080:80", "8080:80", True),
    ],
)
def test_two_ports_clash_where_one_machine_cannot_open_both(
    one: str, other: str, clash: bool
) -> None:
    first, second = service(ports=[one, other]).ports
    assert first.clashes_with(second) is clash
    assert second.clashes_with(first) is clash
