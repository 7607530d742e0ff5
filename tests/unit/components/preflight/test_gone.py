"""What someone removed or stopped by hand, and what a killed update left."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from components.engine.lists import Kind, read_list
from components.preflight.gone import gone, has_lost_version, lost_writes, warnings
from components.preflight.image_names import lost_names
from components.preflight.orphans import importable_containers, orphans, own_containers
from components.preflight.renamed import rename_problems
from components.preflight.state import StackState, read_state
from tests.doubles.recording_engine import StackRunner

URN = "urn:pulumi:dev::llm-stack::llm-stack:index:ServiceStack$docker:x::"
CONTAINER = "docker:index/container:Container"


def container(name: str = "chat-1234567", **more: Any) -> dict[str, Any]:
    return {
        "urn": f"{URN}chat",
        "type": CONTAINER,
        "id": "c1",
        "inputs": {"name": name, "restart": "unless-stopped"},
        **more,
    }


def gate(container_id: str = "c1") -> dict[str, Any]:
    urn = f"{URN}chat-gate"
    return {"urn": urn, "type": "pulumi:index:Stash", "inputs": {"input": container_id}}


def state(*resources: dict[str, Any], pending: list[dict[str, Any]] | None = None) -> StackState:
    return read_state({"deployment": {"resources": list(resources), "pending_operations": pending}})


def listed(*rows: dict[str, Any]) -> Any:
    labels = {"llm-stack.stack": "dev"}
    defaults = {"Id": "c1", "Names": ["/chat-1234567"], "Labels": labels, "State": "running"}
    return list(read_list(Kind.CONTAINER, [{**defaults, **row} for row in rows]))


def happened(known: StackState, *rows: dict[str, Any]) -> list[str]:
    return list(gone(known, listed(*rows)).values())


def test_a_container_that_is_not_on_the_engine_was_removed() -> None:
    assert happened(state(container(), gate())) == ["was removed"]
    assert happened(state(container(), gate()), {}) == []


def test_a_stopped_container_is_replaced_if_it_had_passed_its_gate() -> None:
    stopped = {"State": "exited"}
    assert happened(state(container(), gate()), stopped) == ["was stopped"]
    assert happened(state(container(), gate()), {"State": "paused"}) == ["was paused"]
    assert happened(state(container(), gate("another")), stopped) == [], "the gate starts it"
    job = container(inputs={"name": "chat-1234567", "restart": "no"})
    assert happened(state(job, gate()), stopped) == []


def test_a_running_container_without_its_network_is_replaced() -> None:
    inputs = {"name": "chat-1234567", "networksAdvanced": [{"name": "net-1", "aliases": ["chat"]}]}
    known = state(container(inputs=inputs), gate())
    joined: dict[str, Any] = {"NetworkSettings": {"Networks": {"net-1": {}, "other": {}}}}
    assert happened(known, joined) == []
    left: dict[str, Any] = {"NetworkSettings": {"Networks": {"other": {}}}}
    assert happened(known, left) == ["was disconnected from a network"]


def test_what_an_earlier_update_replaced_may_be_gone() -> None:
    assert happened(state(container(delete=True), gate())) == []


IMAGE_ID = "sha256:" + "1c" * 32


def image() -> dict[str, Any]:
    return {
        "urn": f"{URN}chat-build",
        "type": "docker:index/remoteImage:RemoteImage",
        "id": f"{IMAGE_ID}llm-stack-dev/chat:0a1b",
        "inputs": {"name": "llm-stack-dev/chat:0a1b"},
        "outputs": {"name": "llm-stack-dev/chat:0a1b", "imageId": IMAGE_ID},
        "replacementTrigger": "as declared",
    }


def test_an_image_is_gone_only_once_no_container_uses_it() -> None:
    held = read_list(Kind.IMAGE, [{"Id": IMAGE_ID, "RepoTags": None}])
    assert gone(state(image()), held) == {}
    assert happened(state(image()), {"Id": "c2", "ImageID": IMAGE_ID}) == []
    missing = gone(state(image()), ())
    assert warnings("dev", missing, []) == [
        "image llm-stack-dev/chat:0a1b was removed outside of Pulumi; pulumi up builds or pulls it "
        "again"
    ]


def test_pruned_carriers_are_one_warning() -> None:
    inputs = {"name": "files-carrier-1234567", "start": False}
    carriers = [
        container(id=f"c{number}", inputs=inputs, replacementTrigger="as declared")
        for number in (1, 2)
    ]
    assert warnings("dev", gone(state(*carriers), ()), []) == [
        "carriers files-carrier-1234567, files-carrier-1234567 were removed outside of Pulumi; "
        "pulumi up creates them again, and replaces no service for that"
    ]


def stash(name: str, value: Any) -> dict[str, Any]:
    return {"urn": f"{URN}{name}", "type": "pulumi:index:Stash", "inputs": {"input": value}}


def test_what_was_written_to_a_volume_is_lost_with_it() -> None:
    owner = stash("data-owner", {"volume": "dev-data", "owner": "1:1"})
    others = (stash("lists", {"volume": "none"}), stash("other-owner", "encrypted"))
    known = state(owner, stash("pg-kept", "encrypted"), *others)
    volumes = [{"Name": "dev-data"}, {"Name": "dev-generated-secrets"}]
    assert lost_writes("dev", known, read_list(Kind.VOLUME, {"Volumes": volumes})) == []
    lost = lost_writes("dev", known, ())
    assert [one.gate for one in lost] == ["data-owner", "pg-kept"]
    assert warnings("dev", {}, lost) == [
        "volume dev-generated-secrets was removed outside of Pulumi; pulumi up writes the generated "
        "secrets of Pulumi's state again"
    ]


def test_a_kept_version_is_named_again() -> None:
    images = {"chat": IMAGE_ID, "monitor": "ghcr.io/a/monitor@sha256:0a"}
    kept = state(stash("versions", {"images": images, "keep": 2})).kept
    assert kept is not None

    def lost(name: str) -> bool:
        rows = [{"Id": IMAGE_ID, "RepoTags": ["llm-stack-dev/chat:0a1b", name]}]
        return has_lost_version("dev", kept, read_list(Kind.IMAGE, rows))

    assert not lost("llm-stack-dev/chat:served-20260101T000000Z")
    assert lost("llm-stack-prod/chat:served-20260101T000000Z"), "a name of another stack"


def test_names_of_built_images_are_found_lost() -> None:
    built = image()
    built["inputs"]["build"] = {"context": "app"}
    rows = [{"Id": IMAGE_ID, "RepoTags": ["llm-stack-dev/chat:served-20260101T000000Z"]}]
    held = list(read_list(Kind.IMAGE, rows))
    assert lost_names(state(built), held) == {"llm-stack-dev/chat:0a1b": IMAGE_ID}
    assert lost_names(state(image()), held) == {}, "pulled by digest"
    rows[0]["RepoTags"] = ["llm-stack-dev/chat:0a1b", "other:1"]
    assert lost_names(state(built), read_list(Kind.IMAGE, rows)) == {}


def test_the_program_replaces_what_is_gone_and_nothing_else(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = state(image(), container(urn=f"{URN}monitor"))
    checks = "components.preflight.checks"
    monkeypatch.setattr(
        f"{checks}.StateReader", lambda stack: SimpleNamespace(result=lambda: known)
    )
    monkeypatch.setattr(f"{checks}.list_engine", lambda host, on_swarm: ())
    monkeypatch.setattr("components.preflight.gone.pulumi.log.warn", lambda text: None)
    graph = run_program(
        {"services": ["chat-interface"], "monitor": {"socketGroup": 999}}, stack="dev"
    )
    images, containers = graph.of("RemoteImage"), graph.of("Container")
    assert images["chat-build"].trigger == "llm-stack-dev/chat:0a1b was removed"
    assert images["chat-build"].delete_before_replace, "its successor has the same name"
    assert images["monitor-build"].trigger == "as declared"
    assert not images["monitor-build"].delete_before_replace
    assert containers["monitor"].trigger == "chat-1234567 was removed"
    assert containers["chat-interface"].trigger == "as declared"


def creating(name: str = "chat-1234567") -> list[dict[str, Any]]:
    return [{"type": "creating", "resource": container(name, id="")}]


def test_an_orphan_is_found_by_the_name_of_its_interrupted_creation() -> None:
    found = orphans("dev", state(pending=creating()), listed({}))
    assert [one.name for one in found] == ["chat-1234567"]


@pytest.mark.parametrize(
    ("stack", "known", "why"),
    [
        ("prod", state(pending=creating()), "another stack has it"),
        ("dev", state(container(), pending=creating()), "the state has it"),
        ("dev", state(), "no creation was interrupted"),
        ("dev", state(pending=creating("chat")), "a fixed name: it outlives the stack"),
        ("dev", state(pending=[{"type": "updating", "resource": container()}]), "an update"),
    ],
)
def test_nothing_else_is_an_orphan(stack: str, known: StackState, why: str) -> None:
    assert orphans(stack, known, listed({})) == [], why


def volume(name: str = "dev-models") -> dict[str, Any]:
    urn, kind = f"{URN}models", "docker:index/volume:Volume"
    return {"urn": urn, "type": kind, "id": name, "inputs": {"name": name}}


def temporary(purpose: str, stack: str = "dev") -> Any:
    labels = {"llm-stack.stack": stack, "llm-stack.temporary": purpose}
    return listed({"Id": "t1", "Names": ["/dev-carrier-1"], "Labels": labels, "State": "created"})


@pytest.mark.parametrize("purpose", ["c1", "dev-models", "dev-generated-secrets"])
def test_a_temporary_container_for_what_the_state_has_is_an_orphan(purpose: str) -> None:
    known = state(container(), volume())
    assert [one.name for one in orphans("dev", known, temporary(purpose))] == ["dev-carrier-1"]
    assert orphans("prod", known, temporary(purpose)) == []


def test_a_temporary_container_of_another_checkout_is_no_orphan() -> None:
    assert orphans("dev", state(container(), volume()), temporary("c2")) == []


def test_a_renamed_stack_is_refused() -> None:
    labels = [{"label": "llm-stack.stack", "value": "dev"}]
    known = state(container(inputs={"name": "chat-1234567", "labels": labels}))
    assert list(rename_problems("dev", known)) == []
    (problem,) = rename_problems("live", known)
    assert "was renamed from dev" in str(problem)
    assert str(problem).endswith("run: pulumi stack rename dev")


def test_containers_of_a_lost_state_can_be_imported_but_are_not_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_engine = listed({}, {"Names": ["/web-1"], "Labels": {"llm-stack.stack": "prod"}})
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: True)
    assert importable_containers("dev", state(), on_engine) == {"chat-1234567"}
    assert importable_containers("dev", state(container()), on_engine) == frozenset()
    assert own_containers("dev", state(), on_engine) == frozenset()
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: False)
    assert importable_containers("dev", state(), on_engine) == frozenset()
