"""The life of the dev stack on the real engine: up, chat, no change, one change, destroy."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import docker
import httpx
import pytest

from tests.integration.conftest import StackUnderTest
from tests.ports import free_port

QUESTION = {"model": "phi-3-mini", "messages": [{"role": "user", "content": "Say something."}]}


@pytest.fixture(scope="module")
def dev(stack: StackUnderTest) -> StackUnderTest:
    """The services of dev on free ports, with the bundled model."""
    stack.configure(
        services=["chat-interface", "phi-inference"],
        hostPorts={"chat-interface": free_port(), "monitor": free_port()},
        placeholderModel="tiny",
        monitor={"interval": 2},
    )
    stack.up()
    return stack


def wait_for_model(chat: httpx.Client, model: str) -> None:
    """Wait until the gateway, which checks every second, reports the model as ready."""
    deadline = time.monotonic() + 60
    while chat.get(f"/v1/models/{model}").json().get("state") != "ready":
        assert time.monotonic() < deadline, model
        time.sleep(0.1)


@pytest.fixture(scope="module")
def chat(dev: StackUnderTest) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=dev.outputs()["urls"]["chat-interface"], timeout=60) as client:
        wait_for_model(client, "phi-3-mini")
        yield client


def test_a_chat_answers(chat: httpx.Client) -> None:
    answer = chat.post("/v1/chat/completions", json={**QUESTION, "max_tokens": 16})
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"]


def test_an_answer_streams_chunk_by_chunk(chat: httpx.Client) -> None:
    body = {**QUESTION, "stream": True, "max_tokens": 32}
    with chat.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [
            line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")
        ]
    assert events.pop() == "[DONE]"
    texts = [
        choice["delta"].get("content")
        for event in events
        for choice in json.loads(event)["choices"]
    ]
    assert len(list(filter(None, texts))) > 5


def test_the_placeholder_model_is_shown(chat: httpx.Client) -> None:
    (model,) = [m for m in chat.get("/v1/models").json()["data"] if m["id"] == "phi-3-mini"]
    assert model["placeholder"]["model"] == "tiny"


def test_the_page_is_served(chat: httpx.Client) -> None:
    page = chat.get("/")
    assert page.status_code == 200
    assert "<html" in page.text


def test_every_running_container_is_hardened_and_healthy(dev: StackUnderTest) -> None:
    containers = dev.wait_for_the_engines_checks()
    assert set(containers) == {"chat-interface", "phi-inference", "monitor", "restarter"}
    for name, container in containers.items():
        config, host = container.attrs["Config"], container.attrs["HostConfig"]
        assert config["User"] == "10001:10001", name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert host["Memory"] == host["MemorySwap"] > 0, name
        assert host["NanoCpus"] > 0, name
        assert host["PidsLimit"] == 1024, name
        assert host["Init"], name
        assert not host["Privileged"], name
        assert host["RestartPolicy"]["Name"] == "unless-stopped", name
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}, name
        holds_socket = any("docker.sock" in m.get("Source", "") for m in container.attrs["Mounts"])
        assert holds_socket == (name == "restarter"), name


def test_file_carriers_are_never_started(dev: StackUnderTest) -> None:
    everything = dev.containers(running=False).values()
    carriers = [c for c in everything if "llm-stack.service" not in c.labels]
    assert len(carriers) == 6
    for carrier in carriers:
        assert carrier.status == "created", carrier.name


def test_a_preview_after_up_has_no_changes(dev: StackUnderTest) -> None:
    dev.pulumi("preview", "--expect-no-changes")


def test_a_refresh_finds_no_changes(dev: StackUnderTest) -> None:
    dev.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    dev.pulumi("preview", "--expect-no-changes")


def test_a_changed_source_file_changes_one_image_and_its_container(dev: StackUnderTest) -> None:
    before = {name: container.id for name, container in dev.containers().items()}
    source = dev.project / "app" / "monitor" / "__init__.py"
    source.write_text(source.read_text(encoding="utf-8") + "\n# touched\n", encoding="utf-8")
    planned = dev.planned_changes()
    assert {urn.rsplit(":", 3)[-3] + "::" + urn.rsplit("::", 1)[-1] for urn in planned} == {
        "RemoteImage::monitor-build",
        "Container::monitor",
        # The gate records which container was healthy.
        "Stash::monitor-gate",
    }, planned
    dev.up()
    after = {name: container.id for name, container in dev.containers().items()}
    assert {name for name in after if after[name] != before[name]} == {"monitor"}
    dev.pulumi("preview", "--expect-no-changes")


def test_a_version_that_cannot_start_fails_at_once_and_the_old_one_keeps_serving(
    dev: StackUnderTest, chat: httpx.Client
) -> None:
    before = dev.containers()["phi-inference"].id
    catalogue = dev.project / "services.yaml"
    good = catalogue.read_text(encoding="utf-8")
    source = "    bundled: tiny\n"
    digest = f"    sha256: {'f' * 64}\n    sha256_origin: downloaded\n"
    assert source in good
    catalogue.write_text(good.replace(source, source + digest), encoding="utf-8")
    failed = dev.up(check=False)
    assert failed.returncode != 0
    assert re.search(r"phi-inference-\w+: its program ended", failed.stdout), failed.stdout
    assert "f" * 64 in failed.stdout, "the container's message with the expected digest"
    again = dev.up(check=False)
    assert again.returncode != 0, "a failed update must fail again"
    served_by = [
        c.id
        for c in dev.engine.containers.list(
            filters={"label": [f"llm-stack.stack={dev.name}", "llm-stack.service=phi-inference"]}
        )
    ]
    assert served_by == [before], "the broken container is stopped, the old one keeps running"
    assert chat.post("/v1/chat/completions", json={**QUESTION, "max_tokens": 4}).status_code == 200
    catalogue.write_text(good, encoding="utf-8")
    dev.up()
    wait_for_model(chat, "phi-3-mini")
    assert chat.post("/v1/chat/completions", json={**QUESTION, "max_tokens": 4}).status_code == 200
    dev.pulumi("preview", "--expect-no-changes")


def test_one_catalogue_entry_adds_a_service(dev: StackUnderTest, chat: httpx.Client) -> None:
    catalogue = dev.project / "services.yaml"
    entry = (
        "  mini-inference:\n    kind: inference\n    description: One more\n"
        "    model: tiny\n    memory: 512MiB\n    cpus: 1\n"
    )
    catalogue.write_text(catalogue.read_text(encoding="utf-8") + entry, encoding="utf-8")
    dev.pulumi("config", "set", "--path", "llm-stack:services[2]", "mini-inference")
    before = {name: container.id for name, container in dev.containers().items()}
    dev.up()
    after = {name: container.id for name, container in dev.containers().items()}
    assert after["phi-inference"] == before["phi-inference"], (
        "a new service does not change other models"
    )
    wait_for_model(chat, "tiny")
    answer = chat.post("/v1/chat/completions", json={**QUESTION, "model": "tiny", "max_tokens": 4})
    assert answer.status_code == 200, answer.text


def test_a_bad_setting_is_refused_without_touching_the_stack(dev: StackUnderTest) -> None:
    before = {name: container.id for name, container in dev.containers().items()}
    path = dev.project / f"Pulumi.{dev.name}.yaml"
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace("phi-inference", "fi-inference"), encoding="utf-8")
    refused = dev.up(check=False)
    path.write_text(good, encoding="utf-8")
    assert refused.returncode != 0
    output = refused.stdout + refused.stderr
    assert re.search(
        rf"Pulumi\.{dev.name}\.yaml:\d+: llm-stack:services\.1: .*; found 'fi-inference'; "
        "did you mean 'phi-inference'",
        output,
    )
    assert "Traceback" not in output
    assert "an unhandled error occurred" not in output
    assert {name: container.id for name, container in dev.containers().items()} == before


def test_destroy_leaves_nothing_but_the_models(
    dev: StackUnderTest, engine: docker.DockerClient
) -> None:
    dev.pulumi("destroy", "--yes", "--skip-preview")
    label: dict[str, Any] = {"label": f"llm-stack.stack={dev.name}"}
    assert engine.containers.list(all=True, filters=label) == []
    assert engine.networks.list(filters=label) == []
    assert engine.images.list(filters={"reference": f"llm-stack-{dev.name}/*"}) == []
    assert {volume.name for volume in engine.volumes.list(filters=label)} == {
        f"{dev.name}-phi-inference-models",
        f"{dev.name}-mini-inference-models",
    }
