"""CPU and memory limits read from control groups of versions 1 and 2."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.inference.llama.cgroup import memory_limit_bytes, usable_cpus

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str) -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    return write


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 1), ("50000 100000", 1)],
)
def test_version_2_quota_rounds_down_to_whole_cpus_and_at_least_one(
    tmp_path: Path, write: Write, quota: str, cpus: int
) -> None:
    write("sys/fs/cgroup/cpu.max", quota + "\n")
    assert usable_cpus(tmp_path, affinity=8) == cpus


@pytest.mark.parametrize(("quota", "cpus"), [("-1", 8), ("300000", 3)])
def test_version_1_quota(tmp_path: Path, write: Write, quota: str, cpus: int) -> None:
    write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota)
    write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000")
    assert usable_cpus(tmp_path, affinity=8) == cpus


def test_the_cpu_set_counts_when_it_is_smaller_than_the_quota(tmp_path: Path, write: Write) -> None:
    write("sys/fs/cgroup/cpu.max", "400000 100000")
    assert usable_cpus(tmp_path, affinity=2) == 2


def test_a_group_below_the_mounted_root_is_found_by_its_path(tmp_path: Path, write: Write) -> None:
    write("proc/self/cgroup", "0::/docker/abc\n")
    write("sys/fs/cgroup/docker/abc/cpu.max", "200000 100000")
    write("sys/fs/cgroup/docker/abc/memory.max", "1073741824")
    assert usable_cpus(tmp_path, affinity=8) == 2
    assert memory_limit_bytes(tmp_path) == 1024**3


def test_version_1_names_its_controllers_in_the_path(tmp_path: Path, write: Write) -> None:
    write("proc/self/cgroup", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n")
    write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "200000")
    write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000")
    assert usable_cpus(tmp_path, affinity=8) == 2


def test_without_control_groups_the_affinity_decides(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path, affinity=8) == 8
    assert memory_limit_bytes(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "content", "limit"),
    [
        ("memory.max", "max", None),
        ("memory.max", "2147483648", 2 * 1024**3),
        ("memory/memory.limit_in_bytes", "2147483648", 2 * 1024**3),
        ("memory/memory.limit_in_bytes", "9223372036854771712", None),
    ],
)
def test_memory_limit(
    tmp_path: Path, write: Write, name: str, content: str, limit: int | None
) -> None:
    write(f"sys/fs/cgroup/{name}", content)
    assert memory_limit_bytes(tmp_path) == limit
