"""An entry of kind `container` on one engine: the inputs of its container, and its resources."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.recording_engine import Graph
from tests.unit.components.conftest import Project

DIGEST = "sha256:" + "0a" * 32
EVERYTHING = f"""
services:
  everything:
    kind: container
    description: All keys at once
    image: docker.io/library/postgres:17@{DIGEST}
    command: serve --name "two words"
    entrypoint: [/bin/entry, --]
    working_dir: /srv
    environment: {{SIZE: 48, DEBUG: true}}
    volumes:
      - data:/var/lib/data
      - shared:/shared:ro
      - /mnt/models:/models
      - /mnt/out:/out:rw
    tmpfs: ["/run:size=16m,mode=1777", /var/cache]
    shm_size: 100000000
    ports: ["8080:80", "0.0.0.0:9000:9000", "53:5353/udp"]
    healthcheck: {{test: [CMD, ready], interval: 1m30s, timeout: 5s, retries: 4, start_period: 2m}}
    gpus: ["0", "1"]
    devices: ["/dev/kfd", "/dev/dri:/dev/x:rw"]
    group_add: [44, video]
    user: 999:999
    read_only: false
    cap_add: [SETUID, chown]
    extra_hosts: ["host.docker.internal:host-gateway", "db:10.0.0.7"]
    ulimits: {{nofile: {{soft: 1024, hard: 65536}}, nproc: 100}}
    labels: {{team: search}}
    init: false
    stop_grace: 25
    aliases: [node_1]
    memory: 2GiB
    cpus: 1.5
    port: 80
    health: /ready
    restart: always
"""
JOB = f"""
services:
  migrate:
    kind: container
    image: postgres:17@{DIGEST}
    restart: no
    port: 80
    start_timeout: 600
  app:
    kind: container
    image: postgres:17@{DIGEST}
    port: 80
    depends_on: {{migrate: {{condition: service_completed_successfully}}}}
"""


@pytest.fixture
def everything(project: Project) -> dict[str, Any]:
    return project.run(EVERYTHING).running["everything"].inputs


def configuration(graph: Graph, service: str) -> dict[str, Any]:
    """The configuration of the monitor or of the restarter."""
    return graph.settings(service)


def test_what_the_program_is_run_with(everything: dict[str, Any]) -> None:
    assert everything["image"] == f"docker.io/library/postgres@{DIGEST}", "by its digest alone"
    assert everything["command"] == ["serve", "--name", "two words"]
    assert everything["entrypoints"] == ["/bin/entry", "--"]
    assert everything["workingDir"] == "/srv"
    assert everything["envs"] == ["DEBUG=true", "SIZE=48"]
    assert everything["user"] == "999:999"
    assert everything["groupAdds"] == ["44", "video"]
    assert everything["restart"] == "always"
    assert everything["init"] is False
    assert (everything["stopTimeout"], everything["destroyGraceSeconds"]) == (25, 25)
    assert "mustRun" not in everything


def test_its_limits(everything: dict[str, Any]) -> None:
    assert (everything["memory"], everything["memorySwap"]) == (2048, 2048)
    assert everything["cpus"] == "1.5"
    assert everything["shmSize"] == 96, "whole MiB, and no less than asked for"
    assert everything["ulimits"] == [
        {"name": "nofile", "soft": 1024, "hard": 65536},
        {"name": "nproc", "soft": 100, "hard": 100},
    ]


def test_what_it_has_of_the_machine(everything: dict[str, Any]) -> None:
    assert everything["capabilities"] == {"drops": ["ALL"], "adds": ["CAP_CHOWN", "CAP_SETUID"]}
    assert everything["securityOpts"] == ["no-new-privileges:true"]
    assert everything["gpus"] == '"device=0,1"'
    assert everything["devices"] == [
        {"hostPath": "/dev/kfd", "containerPath": "/dev/kfd", "permissions": "rwm"},
        {"hostPath": "/dev/dri", "containerPath": "/dev/x", "permissions": "rw"},
    ]
    assert everything["ports"] == [
        {"internal": 80, "external": 8080, "ip": "127.0.0.1"},
        {"internal": 9000, "external": 9000, "ip": "0.0.0.0"},
        {"internal": 5353, "external": 53, "ip": "127.0.0.1", "protocol": "udp"},
    ]
    assert everything["hosts"] == [
        {"host": "db", "ip": "10.0.0.7"},
        {"host": "host.docker.internal", "ip": "host-gateway"},
    ]


def test_its_names_on_the_network(everything: dict[str, Any]) -> None:
    (network,) = everything["networksAdvanced"]
    assert network == {"name": "llm-network", "aliases": ["everything", "node_1"]}


def test_its_file_systems(everything: dict[str, Any]) -> None:
    assert everything["readOnly"] is False
    assert everything["tmpfs"] == {
        "/tmp": "rw,noexec,nosuid,nodev,size=64m",
        "/run": "rw,noexec,nosuid,nodev,size=16777216,mode=1777,uid=999,gid=999",
        "/var/cache": "rw,noexec,nosuid,nodev,size=67108864,mode=1777,uid=999,gid=999",
    }
    folders = "/var/lib/docker/volumes"
    assert everything["volumes"] == [
        # The folder keeps its owner; the second mount keeps the volume from being pruned.
        {"hostPath": f"{folders}/data/_data", "containerPath": "/var/lib/data", "readOnly": False},
        {
            "volumeName": "test-data",
            "containerPath": "/run/volumes/var/lib/data",
            "readOnly": True,
        },
        {"hostPath": f"{folders}/shared/_data", "containerPath": "/shared", "readOnly": True},
        {"volumeName": "test-shared", "containerPath": "/run/volumes/shared", "readOnly": True},
        {"hostPath": "/mnt/models", "containerPath": "/models", "readOnly": True},
        {"hostPath": "/mnt/out", "containerPath": "/out", "readOnly": False},
    ]


def test_the_engine_checks_its_health(everything: dict[str, Any]) -> None:
    assert everything["healthcheck"] == {
        "tests": ["CMD", "ready"],
        "interval": "1m30s",
        "timeout": "5s",
        "retries": 4,
        "startPeriod": "2m0s",
    }


def test_its_labels_list_what_it_opens(everything: dict[str, Any]) -> None:
    assert {label["label"]: label["value"] for label in everything["labels"]} == {
        "llm-stack.stack": "test",
        "llm-stack.service": "everything",
        "team": "search",
        "llm-stack.loosened": "cap_add=SETUID,CHOWN; devices=/dev/kfd,/dev/dri; "
        "ports=127.0.0.1:8080/tcp,0.0.0.0:9000/tcp,127.0.0.1:53/udp; read_only=false; "
        "volumes=/models,/out",
    }


def test_an_entry_with_an_image_alone_is_as_strict_as_the_containers_of_the_stack(
    project: Project,
) -> None:
    graph = project.run(f"services: {{plain: {{kind: container, image: 'redis:7@{DIGEST}'}}}}")
    plain, monitor = graph.running["plain"].inputs, graph.running["monitor"].inputs
    for key in ("user", "readOnly", "capabilities", "securityOpts", "tmpfs", "ulimits", "init"):
        assert plain[key] == monitor[key], key
    for key in ("command", "entrypoints", "healthcheck", "ports", "devices", "shmSize", "gpus"):
        assert key not in plain, key
    assert "llm-stack.loosened" not in {label["label"] for label in plain["labels"]}
    assert (plain["memory"], plain["cpus"]) == (1024, "1.0")
    assert graph.running["plain"].hooks == ()


def test_the_user_of_the_image_is_its_own(project: Project) -> None:
    graph = project.run(
        "services: {app: {kind: container, user: image, volumes: ['data:/data'], "
        f"image: 'redis:7@{DIGEST}'}}}}"
    )
    assert "user" not in graph.running["app"].inputs
    assert "data-owner" not in graph.of("Stash"), "the image decides who owns its volume"
    (volume,) = graph.running["app"].inputs["volumes"]
    assert volume == {"volumeName": "test-data", "containerPath": "/data", "readOnly": False}


def test_a_volume_at_tmp_replaces_the_file_system_in_memory(project: Project) -> None:
    graph = project.run(
        "services: {app: {kind: container, volumes: ['scratch:/tmp'], "
        f"image: 'redis:7@{DIGEST}'}}}}"
    )
    app = graph.running["app"].inputs
    assert app.get("tmpfs", {}) == {}, "the engine refuses two mounts at one path"
    assert app["volumes"][0]["containerPath"] == "/tmp"


def test_a_named_volume_is_kept_and_belongs_to_the_first_that_writes_it(project: Project) -> None:
    graph = project.run(
        f"""
services:
  reader:
    kind: container
    image: redis:7@{DIGEST}
    user: "1:1"
    volumes: ["data:/in:ro"]
  writer:
    kind: container
    image: redis:7@{DIGEST}
    user: "2:2"
    volumes: ["data:/out"]
  other:
    kind: container
    image: redis:7@{DIGEST}
    user: "3:3"
    volumes: ["data:/other"]
"""
    )
    volume = graph.of("Volume")["data"]
    assert volume.inputs["name"] == "test-data"
    assert volume.retained
    assert {"label": "llm-stack.service", "value": "writer"} in volume.inputs["labels"]
    owner = graph.of("Stash")["data-owner"]
    assert owner.inputs["input"] == {"volume": "test-data", "owner": "2:2"}
    for name in ("reader", "writer", "other"):
        assert "data-owner" in graph.running[name].depends_on, name


@pytest.mark.parametrize("protect", [True, False])
def test_a_named_volume_is_protected_as_the_stack_says(project: Project, protect: bool) -> None:
    graph = project.run(
        "services: {app: {kind: container, volumes: ['data:/data'], "
        f"image: 'redis:7@{DIGEST}'}}}}",
        protect=protect,
    )
    assert graph.of("Volume")["data"].protected is protect


@pytest.mark.parametrize(
    ("keys", "settings", "recreated"),
    [
        ("volumes: ['data:/data']", {}, True),
        ("volumes: ['data:/data:ro']", {}, False),
        ("volumes: ['data:/data']", {"updates": {"app": "start-first"}}, False),
        ("volumes: ['/mnt/a:/a:rw']", {}, False),
        ("ports: ['8080:80']", {}, True),
        ("ports: ['8080:80']", {"updates": {"app": "start-first"}}, True),
        ("port: 80", {"updates": {"app": "recreate"}}, True),
        ("port: 80", {}, False),
    ],
)
def test_a_container_that_cannot_run_twice_stops_before_its_successor_starts(
    project: Project, keys: str, settings: dict[str, Any], recreated: bool
) -> None:
    graph = project.run(
        f"services: {{app: {{kind: container, image: 'redis:7@{DIGEST}', {keys}}}}}", **settings
    )
    assert bool(graph.running["app"].hooks) is recreated


@pytest.mark.parametrize(
    ("ports", "url"),
    [
        ("['8080:80']", "http://127.0.0.1:8080"),
        ("['0.0.0.0:8080:80']", "http://127.0.0.1:8080"),
        ("['192.0.2.7:8080:80']", "http://192.0.2.7:8080"),
        ("['8081:81']", None),
        ("['8080:80/udp']", None),
        ("[]", None),
    ],
)
def test_a_published_port_is_the_url_of_the_service(
    project: Project, ports: str, url: str | None
) -> None:
    graph = project.run(
        "services: {app: {kind: container, port: 80, "
        f"ports: {ports}, image: 'redis:7@{DIGEST}'}}}}"
    )
    assert graph.outputs["urls"] == {"app": url}


def test_a_job_ends_by_itself_and_is_not_restarted(project: Project) -> None:
    graph = project.run(JOB)
    migrate = graph.running["migrate"].inputs
    assert migrate["restart"] == "no"
    assert migrate["mustRun"] is False
    assert migrate["healthcheck"]["tests"] == ["NONE"], "that of the image is of its server"
    assert graph.running["app"].inputs["restart"] == "unless-stopped"
    assert "mustRun" not in graph.running["app"].inputs
    assert "migrate-gate" in graph.of("Stash")


def test_the_monitor_asks_no_job_and_the_restarter_starts_none(project: Project) -> None:
    graph = project.run(JOB)
    services = configuration(graph, "monitor")["services"]
    assert [(one["name"], one["url"], one["depends_on"]) for one in services] == [
        ("app", "tcp://app:80", [])
    ]
    assert configuration(graph, "restarter")["services"] == ["app"]


def test_what_has_no_health_check_of_its_own_is_not_in_the_monitor_but_may_be_restarted(
    project: Project,
) -> None:
    graph = project.run(f"services: {{plain: {{kind: container, image: 'redis:7@{DIGEST}'}}}}")
    assert configuration(graph, "monitor")["services"] == []
    assert configuration(graph, "restarter")["services"] == ["plain"]


def test_variables_of_the_proxy_are_those_of_programs_that_are_not_ours(project: Project) -> None:
    graph = project.run(
        "services: {app: {kind: container, environment: {NO_PROXY: mine}, "
        f"image: 'redis:7@{DIGEST}'}}}}",
        proxy={"http": "http://proxy.test:3128", "https": "http://proxy.test:3128"},
    )
    envs = dict(text.split("=", 1) for text in graph.running["app"].inputs["envs"])
    assert envs["HTTPS_PROXY"] == "http://proxy.test:3128"
    assert envs["NO_PROXY"] == "mine", "the entry's own value counts"
