"""What keeps the services of a stack from running together, and the order in which they start."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.components.conftest import Project

DIGEST = "sha256:" + "0a" * 32


def catalogue(**entries: str) -> str:
    """A services.yaml with containers of these keys, one a line, in flow style."""
    lines = [
        f"  {name.replace('_', '-')}: {{kind: container, image: 'redis:7@{DIGEST}'"
        f"{', ' if keys else ''}{keys}}}\n"
        for name, keys in entries.items()
    ]
    return "services:\n" + "".join(lines)


def test_a_service_waits_for_the_gate_of_what_it_depends_on(project: Project) -> None:
    graph = project.run(
        catalogue(
            app="port: 80, depends_on: [db, setup]",
            setup="restart: no, depends_on: [db]",
            db="port: 5432",
            other="port: 80",
        )
    )
    assert {"db-gate", "setup-gate"} <= graph.running["app"].depends_on
    assert "db-gate" in graph.running["setup"].depends_on
    assert not {name for name in graph.running["db"].depends_on if name.endswith("-gate")}
    assert not {name for name in graph.running["other"].depends_on if name.endswith("-gate")}
    registered = [one.name for one in graph.resources if one.type.endswith(":Container")]
    assert registered.index("db") < registered.index("setup") < registered.index("app")


def test_a_service_may_wait_for_one_of_another_kind(project: Project) -> None:
    project.write("catalog/app.yaml", catalogue(app="depends_on: [chat-interface]"))
    graph = project.run(
        "services: {chat-interface: {kind: chat, description: A, memory: 512MiB, cpus: 1}}",
        services=["app", "chat-interface"],
    )
    assert "chat-interface-gate" in graph.running["app"].depends_on


def test_the_outputs_are_in_the_order_of_the_settings(project: Project) -> None:
    graph = project.run(catalogue(app="depends_on: [db]", db=""))
    assert list(graph.outputs["containers"]) == ["app", "db"]


@pytest.mark.parametrize(
    ("entries", "config", "problem"),
    [
        (
            {"app": "depends_on: [postgre]", "postgres": ""},
            {},
            "services.yaml:2: services.app.depends_on.postgre: is not a service; found 'postgre'; "
            "did you mean 'postgres'? allowed: postgres",
        ),
        (
            {"app": "depends_on: [postgres]", "postgres": "", "redis": ""},
            {"services": ["app", "redis"]},
            "services.yaml:2: services.app.depends_on.postgres: is not enabled in this stack; "
            "found 'postgres'; run: pulumi config set llm-stack:services "
            '\'["app", "redis", "postgres"]\'',
        ),
        (
            {"app": "depends_on: {setup: {condition: service_healthy}}", "setup": "restart: no"},
            {},
            "services.yaml:2: services.app.depends_on.setup: is a job, which ends and is never "
            "healthy; found 'service_healthy'; allowed: service_completed_successfully",
        ),
        (
            {"app": "depends_on: {db: {condition: service_completed_successfully}}", "db": ""},
            {},
            "services.yaml:2: services.app.depends_on.db: is not a job, and never ends; found "
            "'service_completed_successfully'; allowed: service_healthy, or restart: \"no\" for db",
        ),
        (
            {"aa": "depends_on: [bb]", "bb": "depends_on: [cc]", "cc": "depends_on: [aa]"},
            {},
            "services.yaml:2: services.aa.depends_on: is a circle: aa → bb → cc → aa; allowed: "
            "services that can start one after another",
        ),
        (
            {"app": "depends_on: [app]"},
            {},
            "services.yaml:2: services.app.depends_on: is a circle: app → app; allowed: services "
            "that can start one after another",
        ),
        (
            {"app": "secrets: [db]"},
            {},
            "services.yaml:2: services.app.secrets.db: the stack does not have the secret db; "
            "allowed: none; or secrets: {db: {generate: 32}} in the catalogue; run: pulumi config "
            "set --secret --path llm-stack:secrets.db",
        ),
        (
            {"app": "secret_environment: {URL: 'x${db-pw}y'}"},
            {},
            "services.yaml:2: services.app.secret_environment.URL: the stack does not have the "
            "secret db-pw; allowed: none; or secrets: {db-pw: {generate: 32}} in the catalogue; "
            "run: pulumi config set --secret --path llm-stack:secrets.db-pw",
        ),
        (
            {"aa": "ports: ['8080:80']", "bb": "ports: ['81:81', '0.0.0.0:8080:90']"},
            {},
            "services.yaml:3: services.bb.ports.1: the port is also that of aa; found "
            "'0.0.0.0:8080/tcp'; allowed: another port of the machine",
        ),
        (
            {"app": "port: 80, ports: ['8080:80']"},
            {"hostPorts": {"monitor": 8080}},
            "services.yaml:2: services.app.ports.0: the port is also that of "
            "llm-stack:hostPorts.monitor; found '127.0.0.1:8080/tcp'; allowed: another port of the "
            "machine",
        ),
        (
            {"app": "ports: ['8080:80', '8080:81']"},
            {},
            "services.yaml:2: services.app.ports.1: the port is also that of app; found "
            "'127.0.0.1:8080/tcp'; allowed: another port of the machine",
        ),
        (
            {"app": ""},
            {"hostPorts": {"app": 8080}},
            "Pulumi.test.yaml: llm-stack:hostPorts.app: the service does not have a port to which "
            "one of the machine could lead; allowed: services with port: in the catalogue; run: "
            "pulumi config rm --path 'llm-stack:hostPorts.app'",
        ),
        (
            {"app": "aliases: [db]", "db": ""},
            {},
            "services.yaml:2: services.app.aliases.0: is the name of another service; found 'db'; "
            "allowed: another name",
        ),
        (
            {"app": "aliases: [restarter]"},
            {},
            "services.yaml:2: services.app.aliases.0: is the name of another service; found "
            "'restarter'; allowed: another name",
        ),
        (
            {"app": "volumes: ['monitor-history:/x']"},
            {},
            "services.yaml:2: services.app.volumes.0: is the name of a volume of the stack itself; "
            "found 'monitor-history'; allowed: another name",
        ),
        (
            {"app": "volumes: ['db-models:/x']", "db": ""},
            {},
            "services.yaml:2: services.app.volumes.0: is the name of a volume of the stack itself; "
            "found 'db-models'; allowed: another name",
        ),
        (
            {"app": "volumes: ['aa:/x', 'bb:/x']"},
            {},
            "services.yaml:2: services.app.volumes.1: something else is mounted at this path; "
            "found '/x'; allowed: another path in the container",
        ),
        (
            {"app": "volumes: ['aa:/x'], tmpfs: /x"},
            {},
            "services.yaml:2: services.app.tmpfs.0: something else is mounted at this path; found "
            "'/x'; allowed: another path in the container",
        ),
        (
            {"app": "memory: 128MiB, tmpfs: '/x:size=100m', shm_size: 28m"},
            {},
            "services.yaml:2: services.app.memory: cannot hold tmpfs and shm_size, which count in "
            "it; found '128MiB'; allowed: more than 128MiB",
        ),
    ],
)
def test_services_that_cannot_run_together_are_refused(
    project: Project, entries: dict[str, str], config: dict[str, Any], problem: str
) -> None:
    assert project.refusal(catalogue(**entries), **config) == [problem]


@pytest.mark.parametrize(
    "entries",
    [
        {"aa": "ports: ['8080:80']", "bb": "ports: ['8080:80/udp', '192.0.2.7:8080:80']"},
        {"aa": "aliases: [node]", "bb": "aliases: [node-b]"},
        {"aa": "aliases: [aa]"},
        {"aa": "volumes: ['data:/x']", "bb": "volumes: ['data:/x']"},
        {"aa": "depends_on: [bb, cc]", "bb": "depends_on: [cc]", "cc": ""},
    ],
)
def test_services_that_do_not_touch_each_other_are_accepted(
    project: Project, entries: dict[str, str]
) -> None:
    assert entries.keys() <= project.run(catalogue(**entries)).running.keys()


def test_problems_of_several_services_are_reported_at_once(project: Project) -> None:
    problems = project.refusal(
        catalogue(
            aa="depends_on: [zz], secrets: [pw]",
            bb="ports: ['80:80', '80:80'], aliases: [monitor]",
        )
    )
    assert [text.split(": ")[1] for text in problems] == [
        "services.aa.depends_on.zz",
        "services.aa.secrets.pw",
        "services.bb.ports.1",
        "services.bb.aliases.0",
    ]
