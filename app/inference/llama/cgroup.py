"""CPU and memory limits of this container, read from its control group (versions 1 and 2)."""

import os
from collections.abc import Iterator
from pathlib import Path

# Version 1 reports "no limit" as the largest page-aligned 64-bit number.
NO_LIMIT_BYTES = 1 << 60


def usable_cpus(root: Path = Path("/"), affinity: int | None = None) -> int:
    """Whole CPUs within the CPU set and the CPU quota, at least 1.

    A fraction is rounded down: llama-server's threads wait for each other after every layer. With
    one thread more than the quota allows, all of them stall whenever the quota is used up.
    """
    if affinity is None:
        affinity = len(os.sched_getaffinity(0))
    quotas = [quota for group in _groups(root, "cpu") if (quota := _cpu_quota(group)) is not None]
    return max(1, min(affinity, *(int(quota) for quota in quotas), affinity))


def has_all_cpus() -> bool:
    """Whether the container may use all CPUs of the machine, without CPU set or quota."""
    cpus = os.cpu_count() or 1
    return usable_cpus() == cpus and os.sched_getaffinity(0) == set(range(cpus))


def memory_limit_bytes(root: Path = Path("/")) -> int | None:
    """The memory limit in bytes; None without a limit."""
    limits = [
        int(text)
        for group in _groups(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        if (text := _read(group / name)).isdigit() and int(text) < NO_LIMIT_BYTES
    ]
    return min(limits, default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The directories that may limit `controller` for this process.

    Inside a container the directory of its group is usually the root of the mount. Where the whole
    tree of the host is visible instead, /proc/self/cgroup has the path of the group in it.
    """
    mount = root / "sys/fs/cgroup"
    yield mount
    yield mount / controller
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield mount / path.lstrip("/")
        elif controller in controllers.split(","):
            yield mount / controller / path.lstrip("/")


def _cpu_quota(group: Path) -> float | None:
    """The quota of one group in CPUs, from `cpu.max` (version 2) or `cpu.cfs_*` (version 1)."""
    quota, _, period = _read(group / "cpu.max").partition(" ")
    if not quota:
        quota = _read(group / "cpu.cfs_quota_us")
        period = _read(group / "cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        return int(quota) / int(period)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
