"""What a preview lists of the catalogue: limits from the stack, and what entries open."""

from __future__ import annotations

import pytest

from tests.unit.components.conftest import Project

DIGEST = "sha256:" + "0a" * 32
IMAGE = f"kind: container, image: 'redis:7@{DIGEST}'"


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of information that the program prints."""
    lines: list[str] = []
    monkeypatch.setattr("components.preflight.notices.pulumi.log.info", lines.append)
    return lines


@pytest.mark.parametrize(
    ("keys", "defaults", "notices"),
    [
        ("memory: 1GiB, cpus: 1", {}, []),
        ("memory: 1GiB", {}, ["app: cpus 1 from llm-stack:defaults"]),
        ("", {}, ["app: cpus 1, memory 1024MiB from llm-stack:defaults"]),
        (
            "cpus: 2",
            {"memory": "512MiB", "cpus": 0.5},
            ["app: memory 512MiB from llm-stack:defaults"],
        ),
        (
            "memory: 1GiB, cpus: 1, user: root, cap_add: [CHOWN, SETUID], read_only: false",
            {},
            [
                "app: less strict than the default: user: root; read_only: false; cap_add: "
                "CHOWN,SETUID"
            ],
        ),
        (
            "memory: 1GiB, cpus: 1, volumes: ['/mnt/a:/a', 'data:/b'], ports: ['8080:80']",
            {},
            ["app: less strict than the default: volumes: /a; ports: 127.0.0.1:8080/tcp"],
        ),
    ],
)
def test_a_preview_lists_what_an_entry_leaves_to_the_stack_and_what_it_opens(
    project: Project,
    printed: list[str],
    keys: str,
    defaults: dict[str, object],
    notices: list[str],
) -> None:
    separator = ", " if keys else ""
    project.run(f"services: {{app: {{{IMAGE}{separator}{keys}}}}}", defaults=defaults)
    assert printed == notices


def test_the_limits_of_the_stack_are_those_of_entries_without_limits(project: Project) -> None:
    graph = project.run(
        f"services: {{app: {{{IMAGE}}}, big: {{{IMAGE}, memory: 2GiB, cpus: 4}}}}",
        defaults={"memory": "512MiB", "cpus": 0.5},
    )
    app, big = graph.running["app"].inputs, graph.running["big"].inputs
    assert (app["memory"], app["cpus"]) == (512, "0.5")
    assert (big["memory"], big["cpus"]) == (2048, "4.0")


def test_services_of_other_kinds_keep_their_own_limits(
    project: Project, printed: list[str]
) -> None:
    project.run("services: {chat-interface: {kind: chat, description: A, memory: 1GiB, cpus: 1}}")
    assert printed == []
