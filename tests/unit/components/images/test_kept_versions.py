"""Kept image versions: which ones are kept, which are removed, and which pins are refused."""

from __future__ import annotations

import docker
import pulumi
import pytest

from components.config.problems import Source
from components.images.kept_versions import pin_problems
from components.images.served_versions import superfluous
from tests.doubles.recording_engine import Graph, StackRunner

STACK = {"services": ["chat-interface"], "monitor": {"socketGroup": 999}}
PIN = "sha256:" + "a" * 64


def test_the_newest_versions_are_kept_with_the_serving_one() -> None:
    versions = {"1": {"chat": "a"}, "2": {"chat": "b"}, "3": {"chat": "c"}}
    assert superfluous(versions, {"chat": "c"}, 1) == ["1"]
    assert superfluous(versions, {"chat": "c"}, 2) == []
    assert superfluous(versions, {"chat": "a"}, 1) == ["2"], "after a rollback"


@pytest.fixture
def with_kept_versions(run_program: StackRunner) -> Graph:
    return run_program({**STACK, "keepVersions": 2})


def test_a_version_is_kept_once_everything_serves(with_kept_versions: Graph) -> None:
    kept = with_kept_versions.of("Stash")["versions"]
    assert kept.hooks == ("versions", "versions")
    assert set(kept.inputs["input"]["images"]) == set(with_kept_versions.of("ServiceImage"))
    gates = {"chat-interface-gate", "monitor-gate", "restarter-gate"}
    assert gates <= set(kept.depends_on)


def test_by_default_nothing_is_kept(run_program: StackRunner) -> None:
    graph = run_program(STACK)
    assert "versions" not in graph.of("Stash")


class Engine:
    """An engine that has another image."""

    def __init__(self) -> None:
        self.api = self

    def images(self, *, quiet: bool) -> list[str]:
        assert quiet, "ids are enough"
        return ["sha256:" + "1" * 64]

    def close(self) -> None: ...


def test_a_pinned_image_that_the_engine_does_not_have_is_refused(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.engine.client.docker_client", lambda host, timeout: Engine())
    with pytest.raises(pulumi.RunError) as refusal:
        run_program({**STACK, "imageDigests": {"chat": PIN}})
    assert str(refusal.value) == (
        "Pulumi.test.yaml: llm-stack:imageDigests.chat: the engine does not have this image; found "
        f"'{PIN}'; allowed: an id that `docker image ls --no-trunc` shows, or none; "
        "run: pulumi config rm --path 'llm-stack:imageDigests.chat'"
    )


def test_an_unreachable_engine_is_left_to_the_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_engine(host: str | None, timeout: int) -> None:
        raise docker.errors.DockerException

    monkeypatch.setattr("components.engine.client.docker_client", no_engine)
    assert not [*pin_problems({"chat": PIN}, None, Source("Pulumi.test.yaml"))]


def test_a_pinned_image_is_run_and_not_built(
    run_program: StackRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.preflight.checks.pin_problems", lambda *_: ())
    graph = run_program({**STACK, "imageDigests": {"chat": PIN}})
    assert not [name for name in graph.of("RemoteImage") if name.startswith("chat")]
    assert graph.running["chat-interface"].inputs["image"] == PIN
