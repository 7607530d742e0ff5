"""What of a lost stack is found again, by which names, and on which engine."""

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


def test_things_are_found_by_the_names_that_pulumi_gave_them() -> None:
    component = {"type": "llm-stack:index:ServiceStack", "name": "chat", "component": True}
    adopted, left = adopt(
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
    assert left == ["gone", "twice (2 on the engine)", "chat-build"]


def test_what_no_engine_knows_can_be_given() -> None:
    adopted, left = adopt([resource(TUNNEL, "chat-tunnel")], "prod", {}, {"chat-tunnel": "a/t"})
    assert adopted[0]["id"] == "a/t"
    assert not left


# An engine with a container of the chat at each address, whose id is that address.
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
def test_the_engine_is_the_one_that_the_stack_runs_on(
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
    assert "Found 1. The next update makes anew: nothing." in capsys.readouterr().out


def test_a_stack_on_a_swarm_is_refused_before_anything_changes(
    project: Project, pulumi: Pulumi, program: Program, file: Path
) -> None:
    pulumi(**{"llm-stack:orchestrator": "swarm"})
    program("docker", DOCKER)
    before = file.read_text()
    with pytest.raises(SystemExit) as end:
        main(project, ["prod", str(file)])
    assert "docker service rm $(docker service ls -qf label=llm-stack.stack=prod)" in str(end.value)
    assert file.read_text() == before


def test_an_unknown_stack_is_no_empty_one(
    project: Project, pulumi: Pulumi, program: Program, file: Path
) -> None:
    pulumi()
    program("docker", DOCKER)
    before = file.read_text()
    with pytest.raises(SystemExit, match="no stack named"):
        main(project, ["pord", str(file)])
    assert file.read_text() == before


def test_an_engine_that_does_not_answer_leaves_the_file_as_it_was(
    project: Project, pulumi: Pulumi, program: Program, file: Path
) -> None:
    pulumi()
    program("docker", "echo Cannot connect to the Docker daemon >&2; exit 1")
    before = file.read_text()
    with pytest.raises(SystemExit, match="Cannot connect to the Docker daemon"):
        main(project, ["prod", str(file)])
    assert file.read_text() == before


def test_a_missing_file_is_told_with_what_makes_it(
    project: Project, pulumi: Pulumi, tmp_path: Path
) -> None:
    pulumi()
    with pytest.raises(SystemExit, match="pulumi preview --import-file"):
        main(project, ["prod", str(tmp_path / "import.json")])


def test_a_checkout_without_pulumi_is_told_what_sets_it_up(project: Project, file: Path) -> None:
    with pytest.raises(SystemExit, match=r"\./dev install"):
        main(project, ["prod", str(file)])


@pytest.mark.parametrize("args", [[], ["prod"], ["prod", "import.json", "chat-tunnel"]])
def test_half_a_command_is_told_how_it_goes_on(
    args: list[str], project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(project, args)
    assert end.value.code == 2
    assert "STACK FILE" in capsys.readouterr().err
