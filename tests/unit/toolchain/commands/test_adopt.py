"""Finds the resources of a lost stack by name, on the stack's engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain.commands.adopt import adopt, main
from toolchain.project import Project

Pulumi = Callable[..., None]
Program = Callable[[str, str], None]

CONTAINER, VOLUME = "docker:index/container:Container", "docker:index/volume:Volume"
TUNNEL = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared"


def resource(type_: str, name: str, **more: str) -> dict[str, str]:
    return {"type": type_, "name": name, "id": "<PLACEHOLDER>", **more}


def test_resources_are_found_by_their_generated_names() -> None:
    component = {"type": "llm-stack:index:ServiceStack", "name": "chat", "component": True}
    adopted, missing = adopt(
        [
            component,
            resource(CONTAINER, "chatContainer", logicalName="chat"),
            resource(CONTAINER, "chat-config-carrier"),
            resource(VOLUME, "phi-models"),
            resource(VOLUME, "gone"),
            resource(CONTAINER, "twice"),
            resource("docker:index/remoteImage:RemoteImage", "chat-build"),
        ],
        "dev",
        {
            CONTAINER: {
                "chat-0123abc": "c1",
                "chat-config-carrier-0123abc": "c2",
                "twice-0123abc": "c3",
                "twice-0123abd": "c4",
            },
            VOLUME: {"dev-phi-models": "dev-phi-models"},
        },
        {},
    )
    assert [(one.get("logicalName", one["name"]), one.get("id")) for one in adopted] == [
        ("chat", None),
        ("chat", "c1"),
        ("chat-config-carrier", "c2"),
        ("phi-models", "dev-phi-models"),
    ]
    assert missing == ["gone", "twice (2 on the engine)", "chat-build"]


def test_ids_of_other_providers_can_be_given() -> None:
    adopted, missing = adopt([resource(TUNNEL, "chat-tunnel")], "prod", {}, {"chat-tunnel": "a/t"})
    assert adopted[0]["id"] == "a/t"
    assert not missing


# A fake docker: the id of its only container is the address of the engine.
DOCKER = 'case "$1" in ps) echo "chat-0123abc=$DOCKER_HOST" ;; esac'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "import.json"
    path.write_text(json.dumps({"resources": [resource(CONTAINER, "chat")]}))
    return path


@pytest.mark.parametrize(
    ("settings", "engine"),
    [({}, "unix:///mine.sock"), ({"docker:host": "ssh://deploy@berlin"}, "ssh://deploy@berlin")],
    ids=["of the shell", "of the stack"],
)
def test_engine_of_the_stack_is_used(
    settings: dict[str, str],
    engine: str,
    project: Project,
    pulumi: Pulumi,
    program: Program,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pulumi(**settings)
    program("docker", DOCKER)
    monkeypatch.setenv("DOCKER_HOST", "unix:///mine.sock")
    main(project, ["prod", str(file)])
    assert json.loads(file.read_text())["resources"][0]["id"] == engine
    assert "Found 1. The next update creates: nothing." in capsys.readouterr().out


def test_swarm_stack_is_refused_and_changes_nothing(
    project: Project, pulumi: Pulumi, program: Program, file: Path
) -> None:
    pulumi(**{"llm-stack:orchestrator": "swarm"})
    program("docker", DOCKER)
    before = file.read_text()
    with pytest.raises(SystemExit) as end:
        main(project, ["prod", str(file)])
    assert "docker service rm $(docker service ls -qf label=llm-stack.stack=prod)" in str(end.value)
    assert file.read_text() == before


def test_unknown_stack_is_an_error(
    project: Project, pulumi: Pulumi, program: Program, file: Path
) -> None:
    pulumi()
    program("docker", DOCKER)
    before = file.read_text()
    with pytest.raises(SystemExit, match="no stack named"):
        main(project, ["pord", str(file)])
    assert file.read_text() == before


def test_unreachable_engine_keeps_the_file(
    project: Project, pulumi: Pulumi, program: Program, file: Path
) -> None:
    pulumi()
    program("docker", "echo Cannot connect to the Docker daemon >&2; exit 1")
    before = file.read_text()
    with pytest.raises(SystemExit, match="Cannot connect to the Docker daemon"):
        main(project, ["prod", str(file)])
    assert file.read_text() == before


def test_missing_file_is_an_error_with_its_command(
    project: Project, pulumi: Pulumi, tmp_path: Path
) -> None:
    pulumi()
    with pytest.raises(SystemExit, match="pulumi preview --import-file"):
        main(project, ["prod", str(tmp_path / "import.json")])


def test_checkout_without_pulumi_is_an_error_with_its_command(project: Project, file: Path) -> None:
    with pytest.raises(SystemExit, match=r"\./dev install"):
        main(project, ["prod", str(file)])


@pytest.mark.parametrize("args", [[], ["prod"], ["prod", "import.json", "chat-tunnel"]])
def test_incomplete_command_prints_its_usage(
    args: list[str], project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(project, args)
    assert end.value.code == 2
    assert "STACK FILE" in capsys.readouterr().err
