"""Ports, aliases and hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.toolchain.compose.conftest import Importing, changed, outcome


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("8080:80", ["8080:80"]),
        ("'127.0.0.1:8080:80'", ["127.0.0.1:8080:80"]),
        ("'0.0.0.0:8080:80'", ["0.0.0.0:8080:80"]),
        ("'[::1]:8080:80'", ["[::1]:8080:80"]),
        ("'53:53/udp'", ["53:53/udp"]),
        ("'8080/tcp'", None),
        ("8080", None),
        ("'${PORT:-3000}:80'", ["3000:80"]),
        ("'9000-9001:80-81'", ["9000:80", "9001:81"]),
        ("{target: 80, published: '8080', protocol: tcp}", ["8080:80"]),
        ("{target: 80, published: 8080, host_ip: 10.0.0.1}", ["10.0.0.1:8080:80"]),
        ("{target: 80}", None),
    ],
)
def test_ports_in_each_form(compose: Importing, port: str, expected: list[str] | None) -> None:
    one = outcome(compose(f"services: {{app: {{image: 'a:1', ports: [{port}]}}}}"), "app")
    assert one.entry.get("ports") == expected


def test_ports_move_to_the_machine_itself_unless_an_address_is_written(compose: Importing) -> None:
    one = outcome(compose("services: {app: {image: 'a:1', ports: ['80:8080', 443:8443]}}"), "app")
    assert "ports: 80, 443 on 127.0.0.1, not on every address" in changed(one)
    assert one.entry["port"] == 8080
    same = outcome(compose("services: {app: {image: 'a:1', ports: ['127.0.0.1:80:80']}}"), "app")
    assert "ports" in same.carried


@pytest.mark.parametrize(
    ("keys", "port"),
    [
        ("image: 'a:1', expose: ['9000/tcp', 9001]", 9000),
        ("image: 'postgres:17'", 5432),
        ("image: 'docker.io/library/redis:7', ports: ['7000:7000', '6379:6379']", 6379),
        ("image: 'vllm/vllm-openai:v1', command: --port 9009", 9009),
        ("image: 'lmsysorg/sglang:v1', command: python3 -m sglang.launch_server", 30000),
        ("image: 'a:1'", None),
    ],
)
def test_the_port_of_a_service(compose: Importing, keys: str, port: int | None) -> None:
    one = outcome(compose(f"services: {{app: {{{keys}}}}}"), "app")
    assert one.entry.get("port") == port


def test_further_names(compose: Importing) -> None:
    done = compose(
        """
        services:
          db:
            image: postgres:17
            hostname: db
            container_name: my-db
            networks: {back: {aliases: [database]}}
          Old_App.v1:
            image: a:1
            links: ["db:pg", db]
        """
    )
    assert outcome(done, "db").entry["aliases"] == ["my-db", "database", "pg"]
    one = outcome(done, "Old_App.v1")
    assert one.name == "old-app-v1"
    assert one.entry["aliases"] == ["Old_App.v1"]


def test_a_name_of_the_catalogue_gets_the_project_before_it(
    compose: Importing, checkout: Path
) -> None:
    (checkout / "catalog" / "own.yaml").write_text(
        "services: {postgres: {kind: container, image: 'postgres:17', volumes: ['data:/data']}}\n"
    )
    done = compose(
        """
        services:
          postgres: {image: 'example/db:1', volumes: ["data:/data"]}
          app: {image: 'a:1', depends_on: [postgres], volumes: ["data:/data"]}
        """
    )
    one = outcome(done, "postgres")
    assert one.name == "shop-postgres"
    assert one.entry["aliases"] == ["postgres"]
    assert one.entry["volumes"] == ["shop-data:/data"]
    assert outcome(done, "app").entry["volumes"] == ["shop-data:/data"]
    assert outcome(done, "app").entry["depends_on"] == ["shop-postgres"]


def test_hosts_outside(compose: Importing) -> None:
    done = compose(
        """
        services:
          app: {image: 'a:1', extra_hosts: ["host.docker.internal:host-gateway", "six=::1"]}
          web: {image: 'a:1', extra_hosts: {db: 10.0.0.7}}
        """
    )
    assert outcome(done, "app").entry["extra_hosts"] == [
        "host.docker.internal:host-gateway",
        "six:::1",
    ]
    assert outcome(done, "web").entry["extra_hosts"] == ["db:10.0.0.7"]
