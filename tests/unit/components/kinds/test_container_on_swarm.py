"""An entry of kind `container` on a Swarm: its task, and the keys that a Swarm cannot fulfil."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.doubles.recording_engine import Graph
from tests.unit.components.conftest import Project

DIGEST = "sha256:" + "0a" * 32
SWARM: dict[str, Any] = {"orchestrator": "swarm", "swarm": {"singleNode": True}}
ENTRY = f"""
services:
  app:
    kind: container
    image: docker.io/library/postgres:17@{DIGEST}
    command: serve --name "two words"
    entrypoint: [/bin/entry, --]
    working_dir: /srv
    environment: {{SIZE: 48}}
    secrets: {{db: /etc/app/pw, api: /run/secrets/api}}
    secret_environment: {{URL: "postgres://app:${{db}}@postgres"}}
    volumes:
      - data:/var/lib/data
      - shared:/shared:ro
      - ./conf/app.yml:/etc/app/app.yml
      - ./conf/start.sh:/start.sh
      - /mnt/models:/models
    tmpfs: ["/run:size=16m,mode=1777"]
    shm_size: 1g
    healthcheck: {{test: [CMD, ready], interval: 1m30s, timeout: 5s, retries: 4, start_period: 2m}}
    group_add: [44]
    user: 999:999
    read_only: false
    cap_add: [SETUID, chown]
    extra_hosts: ["db:10.0.0.7"]
    labels: {{team: search}}
    init: false
    stop_grace: 25
    aliases: [node_1]
    memory: 2GiB
    cpus: 1.5
    port: 80
"""
SECRETS = {"secrets": {"db": "marker-db", "api": "marker-api"}}


@pytest.fixture
def swarm(project: Project) -> Graph:
    project.write("conf/app.yml", "a: 1\n")
    project.write("conf/start.sh", "#!/bin/sh\n", mode=0o755)
    return project.run(ENTRY, SECRETS, **SWARM)


def task(graph: Graph, name: str) -> dict[str, Any]:
    found: dict[str, Any] = graph.of("Service")[name].inputs["taskSpec"]
    return found


def test_what_the_program_is_run_with(swarm: Graph) -> None:
    container = task(swarm, "app")["containerSpec"]
    assert container["image"] == f"docker.io/library/postgres@{DIGEST}"
    assert container["args"] == ["serve", "--name", "two words"]
    assert container["commands"] == ["/bin/entry", "--"]
    assert container["dir"] == "/srv"
    assert container["env"] == {"SIZE": "48", "URL": "postgres://app:marker-db@postgres"}
    assert container["user"] == "999:999"
    assert container["groups"] == ["44"]
    assert container["init"] is False
    assert container["stopGracePeriod"] == "25s"
    assert container["hosts"] == [{"host": "db", "ip": "10.0.0.7"}]
    assert container["capDrops"] == ["ALL"]
    assert container["capAdds"] == ["CAP_CHOWN", "CAP_SETUID"]
    assert container["readOnly"] is False
    (network,) = task(swarm, "app")["networksAdvanceds"]
    assert network["aliases"] == ["app", "node_1"]


def test_its_limits_are_reserved(swarm: Graph) -> None:
    assert task(swarm, "app")["resources"] == {
        "limits": {"memoryBytes": 2 * 1024**3, "nanoCpus": 1_500_000_000},
        "reservation": {"memoryBytes": 2 * 1024**3},
    }


def test_a_health_check_is_made_often_enough_for_an_update(swarm: Graph) -> None:
    assert task(swarm, "app")["containerSpec"]["healthcheck"] == {
        "tests": ["CMD", "ready"],
        "interval": "10s",
        "timeout": "5s",
        "retries": 4,
        "startPeriod": "2m",
    }


def test_its_file_systems(swarm: Graph) -> None:
    mounts = {one["target"]: one for one in task(swarm, "app")["containerSpec"]["mounts"]}
    assert mounts.keys() == {"/var/lib/data", "/shared", "/models", "/tmp", "/run", "/dev/shm"}
    data = mounts["/var/lib/data"]
    assert (data["type"], data["source"], data["readOnly"]) == ("volume", "test-data", False)
    assert mounts["/shared"]["readOnly"] is True
    assert mounts["/models"] == {
        "type": "bind",
        "source": "/mnt/models",
        "target": "/models",
        "readOnly": True,
    }
    assert mounts["/run"]["tmpfsOptions"] == {"sizeBytes": 16 * 1024**2, "mode": 0o1777}
    assert mounts["/tmp"]["tmpfsOptions"] == {"sizeBytes": 64 * 1024**2}
    assert mounts["/dev/shm"]["tmpfsOptions"] == {"sizeBytes": 1024**3}


def test_files_of_the_project_are_configs_at_their_paths(swarm: Graph) -> None:
    contents = {one.name: one.inputs["dataRaw"] for one in swarm.of("ServiceConfig").values()}
    mounted = {one["fileName"]: one for one in task(swarm, "app")["containerSpec"]["configs"]}
    assert mounted.keys() == {"/etc/app/app.yml", "/start.sh"}
    assert contents[mounted["/etc/app/app.yml"]["configName"]] == "a: 1\n"
    assert contents[mounted["/start.sh"]["configName"]] == "#!/bin/sh\n"
    assert mounted["/start.sh"]["fileMode"] == 0o555, "it stays executable"
    assert "fileMode" not in mounted["/etc/app/app.yml"]


def test_secrets_are_secrets_of_the_swarm_at_their_paths(swarm: Graph) -> None:
    contents = {
        one.name: base64.b64decode(one.inputs["data"]).decode()
        for one in swarm.of("Secret").values()
    }
    mounted = {
        one["fileName"]: contents[one["secretName"]]
        for one in task(swarm, "app")["containerSpec"]["secrets"]
    }
    assert mounted == {"/etc/app/pw": "marker-db", "/run/secrets/api": "marker-api"}
    for secret in swarm.of("Secret").values():
        assert "data" in secret.secrets, secret.name


def test_what_it_opens_is_on_the_service_and_on_its_containers(swarm: Graph) -> None:
    opened = {
        "label": "llm-stack.loosened",
        "value": "cap_add=SETUID,CHOWN; read_only=false; secret_environment=URL; volumes=/models",
    }
    assert opened in swarm.of("Service")["app"].inputs["labels"]
    assert opened in task(swarm, "app")["containerSpec"]["labels"]
    assert {"label": "team", "value": "search"} in task(swarm, "app")["containerSpec"]["labels"]


def test_a_container_with_a_volume_goes_before_its_successor(swarm: Graph) -> None:
    assert swarm.of("Service")["app"].inputs["updateConfig"]["order"] == "stop-first"
    assert swarm.of("Service")["monitor"].inputs["updateConfig"]["order"] == "start-first"


def test_a_job_is_not_started_again(project: Project) -> None:
    graph = project.run(
        f"services: {{migrate: {{kind: container, restart: 'no', image: 'redis:7@{DIGEST}'}}}}",
        **SWARM,
    )
    assert task(graph, "migrate")["restartPolicy"]["condition"] == "none"
    assert task(graph, "migrate")["containerSpec"]["healthcheck"] == {"tests": ["NONE"]}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (
            "ports",
            "['8080:80']",
            "a Swarm would open them on every address of its nodes; use a tunnel",
        ),
        ("devices", "[/dev/dri]", "a Swarm cannot give devices to its services"),
        ("gpus", "all", "a Swarm cannot give GPUs to its services; see docs/gpu.md"),
        (
            "ulimits",
            "{nofile: 1024}",
            "the provider cannot set them for a Swarm; set them on its engines",
        ),
    ],
)
def test_a_key_that_a_swarm_cannot_fulfil_is_refused(
    project: Project, key: str, value: str, reason: str
) -> None:
    catalogue = (
        f"services:\n  app:\n    kind: container\n    image: redis:7@{DIGEST}\n    {key}: {value}\n"
    )
    assert project.refusal(catalogue, **SWARM) == [
        f"services.yaml:5: services.app.{key}: {reason}; allowed: none on a Swarm"
    ]
    assert "app" in project.run(catalogue).running, "one engine can"
