"""GPUs, devices, memory, processors and shared memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from toolchain.compose import model_servers, sizes
from toolchain.compose.outcome import Outcome
from toolchain.compose.yaml_file import Section

MOST_GPUS = 16
MOST_CPUS = 256
# For `ipc: host`, which has the size of the machine's own.
SHARED_MEMORY = "8g"
_GIBIBYTE = 1024**3
# The largest limit that Docker's API takes.
UNLIMITED = 2**63 - 1


def apply_gpus(service: Section, environment: Mapping[str, str], outcome: Outcome) -> None:
    """`gpus`, `deploy.resources.reservations.devices` and `runtime: nvidia`."""
    deploy = service.get("deploy") or {}
    reserved = _below(deploy, "resources", "reservations").get("devices")
    given = service.get("gpus")
    found: Any = None
    if isinstance(given, list):
        found = _devices(given, outcome, "gpus")
    elif given is not None:
        found = _count(given)
    elif isinstance(reserved, list):
        found = _devices(reserved, outcome, "deploy.resources.reservations.devices")
    runtime = service.get("runtime")
    visible = environment.get("NVIDIA_VISIBLE_DEVICES", "all")
    if found is None and runtime == "nvidia" and visible not in {"none", "void", ""}:
        found = "all" if visible == "all" else visible.split(",")
    if found is not None:
        outcome.entry["gpus"] = found
        outcome.carried.append("gpus")
    if runtime and runtime not in {"nvidia", "runc"}:
        outcome.lose("runtime", f"the runtime {runtime}", "set it as the engine's default runtime")


def _below(value: object, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _count(value: object) -> object:
    text = str(value)
    if text in {"all", "-1", "True"}:
        return "all"
    return min(int(text), MOST_GPUS) if text.isdigit() and int(text) else None


def _devices(devices: list[Any], outcome: Outcome, key: str) -> object:
    for device in devices:
        if not isinstance(device, dict):
            continue
        driver = str(device.get("driver") or "nvidia")
        capabilities = device.get("capabilities") or ["gpu"]
        ids = device.get("device_ids")
        if driver == "cdi":
            names = [str(one) for one in ids or []]
            if all(name.startswith("nvidia.com/gpu=") for name in names) and names:
                own = [name.partition("=")[2] for name in names]
                return "all" if "all" in own else own
        if driver not in {"nvidia", "cdi"} or "gpu" not in str(capabilities):
            outcome.lose(key, f"devices of the driver {driver}", "use devices: [/dev/…]")
            continue
        if isinstance(ids, list):
            return "all" if "all" in ids else [str(one) for one in ids]
        if isinstance(ids, str):
            return ids.split(",")
        return _count(device.get("count", "all"))
    return None


def apply_devices(service: Section, outcome: Outcome) -> None:
    """`devices` and `group_add`."""
    found = []
    for device in service.get("devices") or []:
        if isinstance(device, dict):
            parts = [device.get("source"), device.get("target"), device.get("permissions")]
            device = ":".join(str(part) for part in parts if part)
        text = str(device)
        if text.startswith("nvidia.com/gpu="):
            outcome.entry["gpus"] = "all"
            outcome.change("devices", f"{text} is now gpus: all")
        elif text.startswith("/dev/"):
            found.append(text)
        else:
            outcome.lose("devices", f"{text} is not a path below /dev", "use gpus, or /dev/…")
    if found:
        outcome.carry("devices", found)
    if groups := service.get("group_add"):
        outcome.carry("group_add", groups)


def apply_shared_memory(service: Section, outcome: Outcome) -> None:
    """`shm_size`, and `ipc: host` where programs only need more of it."""
    given = service.get("shm_size")
    size = sizes.size_in_bytes(given) if given else None
    if size:
        outcome.carry("shm_size", sizes.short_size(size))
    ipc = service.get("ipc")
    if ipc == "host":
        outcome.entry.setdefault("shm_size", SHARED_MEMORY)
        outcome.change(
            "ipc",
            f"host is now shm_size: {outcome.entry['shm_size']}, counted in memory: the machine's "
            "own shared memory is not available to containers",
        )
    elif ipc and ipc not in {"private", "shareable"}:
        outcome.lose("ipc", f"shared memory of another container ({ipc})", "use shm_size for each")


def apply_ulimits(service: Section, outcome: Outcome) -> None:
    """`ulimits`, where -1 means unlimited."""
    found: dict[str, Any] = {}
    for name, value in (service.get("ulimits") or {}).items():
        if isinstance(value, dict):
            pair = {key: _limit(value.get(key)) for key in ("soft", "hard")}
            found[name] = {key: one for key, one in pair.items() if one is not None}
        elif (one := _limit(value)) is not None:
            found[name] = one
    if found:
        outcome.carry("ulimits", found)


def _limit(value: object) -> int | None:
    try:
        number = int(str(value))
    except ValueError:
        return None
    return UNLIMITED if number < 0 else number


def _in_memory(outcome: Outcome) -> int:
    """What file systems in memory may take, in bytes."""
    total = sizes.size_in_bytes(str(outcome.entry.get("shm_size") or "0")) or 0
    for text in outcome.entry.get("tmpfs", ()):
        match = re.search(r"size=([^,]+)", text)
        total += (sizes.size_in_bytes(match[1]) if match else None) or sizes.MEBIBYTE * 64
    return total


def apply_limits(service: Section, kind: str | None, outcome: Outcome) -> None:
    """`memory` and `cpus`."""
    deploy = service.get("deploy") or {}
    limits = _below(deploy, "resources", "limits")
    given = service.get("mem_limit") or limits.get("memory")
    size = sizes.size_in_bytes(str(given)) if given else None
    shared = _in_memory(outcome)
    if size and size > shared:
        outcome.carry("memory", sizes.memory(size))
    elif kind:
        assumed = model_servers.memory_of(kind) * _GIBIBYTE + shared
        outcome.entry["memory"] = sizes.memory(assumed)
        outcome.change(
            "memory",
            f"{outcome.entry['memory']}: the compose file has no limit; what {kind} needs depends "
            "on its models",
        )
    elif shared >= _GIBIBYTE // 2:
        outcome.entry["memory"] = sizes.memory(shared + _GIBIBYTE)
        outcome.change("memory", f"{outcome.entry['memory']}: it contains shm_size and tmpfs")
    cpus = service.get("cpus") or limits.get("cpus")
    try:
        number = float(str(cpus)) if cpus else 0.0
    except ValueError:
        number = 0.0
    if 0 < number <= MOST_CPUS:
        outcome.carry("cpus", int(number) if number == int(number) else number)
    elif kind:
        outcome.entry["cpus"] = 2
        outcome.change("cpus", "2: the compose file has no limit")
