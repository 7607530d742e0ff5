"""GPUs, devices, memory, processors, shared memory, limits."""

from __future__ import annotations

import pytest

from tests.unit.toolchain.compose.conftest import Importing, changed, outcome
from toolchain.compose.outcome import Outcome


def imported(compose: Importing, keys: str, image: str = "example/app:1") -> Outcome:
    return outcome(compose(f"services: {{app: {{image: '{image}', {keys}}}}}"), "app")


def reserved(devices: str) -> str:
    return f"deploy: {{resources: {{reservations: {{devices: [{devices}]}}}}}}"


@pytest.mark.parametrize(
    ("keys", "gpus"),
    [
        ("gpus: all", "all"),
        ("gpus: [{count: 2}]", 2),
        (reserved("{driver: nvidia, count: all, capabilities: [gpu]}"), "all"),
        (reserved("{driver: nvidia, count: 1, capabilities: [gpu]}"), 1),
        (reserved("{driver: nvidia, count: '${COUNT:-2}', capabilities: [gpu]}"), 2),
        (reserved("{capabilities: [gpu]}"), "all"),
        (reserved("{driver: nvidia, device_ids: ['0', '3'], capabilities: [gpu]}"), ["0", "3"]),
        (reserved("{driver: cdi, device_ids: [nvidia.com/gpu=all]}"), "all"),
        ("runtime: nvidia", "all"),
        ("runtime: nvidia, environment: {NVIDIA_VISIBLE_DEVICES: '1,2'}", ["1", "2"]),
        ("devices: [nvidia.com/gpu=all]", "all"),
    ],
)
def test_gpus_in_each_form(compose: Importing, keys: str, gpus: object) -> None:
    assert imported(compose, keys).entry["gpus"] == gpus


def test_no_gpus(compose: Importing) -> None:
    keys = "runtime: nvidia, environment: {NVIDIA_VISIBLE_DEVICES: none}"
    assert "gpus" not in imported(compose, keys).entry
    one = imported(compose, reserved("{driver: amd, count: 1, capabilities: [gpu]}"))
    assert "devices of the driver amd" in changed(one)


def test_devices_and_groups(compose: Importing) -> None:
    one = imported(
        compose,
        "devices: [/dev/kfd, '/dev/dri:/dev/dri', {source: /dev/a, target: /dev/b, permissions: r}], "
        "group_add: [video, 44]",
    )
    assert one.entry["devices"] == ["/dev/kfd", "/dev/dri:/dev/dri", "/dev/a:/dev/b:r"]
    assert one.entry["group_add"] == ["video", "44"]


@pytest.mark.parametrize(
    ("keys", "memory", "cpus"),
    [
        ("mem_limit: 512m", "512MiB", None),
        ("mem_limit: 2gb", "2GiB", None),
        ("mem_limit: 1048576", "64MiB", None),
        ("deploy: {resources: {limits: {memory: 1.5G, cpus: '0.5'}}}", "1536MiB", 0.5),
        ("cpus: 2", None, 2),
    ],
)
def test_limits(compose: Importing, keys: str, memory: object, cpus: object) -> None:
    entry = imported(compose, keys).entry
    assert entry.get("memory") == memory
    assert entry.get("cpus") == cpus


def test_shared_memory_is_counted_in_memory(compose: Importing) -> None:
    one = imported(compose, "shm_size: 2gb")
    assert (one.entry["shm_size"], one.entry["memory"]) == ("2g", "3GiB")
    one = imported(compose, "ipc: host")
    assert (one.entry["shm_size"], one.entry["memory"]) == ("8g", "9GiB")
    assert "ipc: host is now shm_size: 8g" in changed(one)
    one = imported(compose, "mem_limit: 16g, ipc: host, shm_size: 4g")
    assert (one.entry["shm_size"], one.entry["memory"]) == ("4g", "16GiB")
    assert "ipc: shared memory of another container" in changed(imported(compose, "ipc: service:x"))


def test_model_servers_without_limits_get_some(compose: Importing) -> None:
    one = imported(compose, "ports: ['80:8000']", image="vllm/vllm-openai:v0.29.0")
    assert (one.entry["memory"], one.entry["cpus"]) == ("16GiB", 2)
    assert "the compose file has no limit" in changed(one)


def test_ulimits(compose: Importing) -> None:
    one = imported(compose, "ulimits: {nofile: {soft: 1, hard: 2}, nproc: 5, memlock: -1}")
    assert one.entry["ulimits"] == {
        "nofile": {"soft": 1, "hard": 2},
        "nproc": 5,
        "memlock": 2**63 - 1,
    }
