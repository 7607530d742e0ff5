"""Devices, capabilities, limits and users."""

from __future__ import annotations

from typing import Any

import pytest

from components.config.compose.machine import CAPABILITIES, Device
from tests.unit.components.config.compose.container_entry import problem, service


@pytest.mark.parametrize("name", ["CHOWN", "chown", "CAP_CHOWN", "cap_chown"])
def test_a_capability_is_written_with_or_without_its_prefix(name: str) -> None:
    assert service(cap_add=[name]).cap_add == ("CHOWN",)


@pytest.mark.parametrize(
    "name",
    [
        *("SYS_ADMIN", "CAP_SYS_ADMIN", "ALL", "all", "SYS_MODULE", "SYS_RAWIO", "SYS_PTRACE"),
        *("SYS_BOOT", "DAC_READ_SEARCH", "BPF", "PERFMON", "CHWN", "", 7),
    ],
)
def test_a_capability_that_gives_control_of_the_machine_is_refused(name: Any) -> None:
    assert problem(cap_add=[name]) == (
        f"cap_add.0: is not a capability that a service may have; found {name!r}; allowed: "
        f"{', '.join(sorted(CAPABILITIES))}; others give control of the machine"
    )


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/dri", Device("/dev/dri", "/dev/dri", "rwm")),
        ("/dev/kfd:/dev/kfd", Device("/dev/kfd", "/dev/kfd", "rwm")),
        ("/dev/kfd:/dev/kfd:rw", Device("/dev/kfd", "/dev/kfd", "rw")),
        (
            "/dev/dri/renderD128:/dev/dri/renderD129:r",
            Device("/dev/dri/renderD128", "/dev/dri/renderD129", "r"),
        ),
        ("/dev/ttyUSB0:r", Device("/dev/ttyUSB0", "/dev/ttyUSB0", "r")),
        ("/dev/snd/", Device("/dev/snd", "/dev/snd", "rwm")),
    ],
)
def test_a_device_has_a_path_on_the_machine_and_in_the_container(text: str, device: Device) -> None:
    assert service(devices=[text]).devices == (device,)


@pytest.mark.parametrize(
    "entry",
    [
        *("/dri", "dri", "/dev", "/dev/", "/dev/.", "/dev/../etc", "/dev/x/../sda", 7),
        *("/dev/dri:/etc", "/dev/dri:/dev/dri:x", "nvidia.com/gpu=all", "/dev//", "/dev/./"),
    ],
)
def test_a_device_of_another_form_is_refused(entry: Any) -> None:
    assert problem(devices=[entry]) == (
        f"devices.0: is not a valid device; found {entry!r}; allowed: /dev/dri, or "
        "/dev/kfd:/dev/kfd:rwm"
    )


@pytest.mark.parametrize(
    "path",
    [
        *("/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/dev/sda", "/dev/sda1", "/dev/hda"),
        *("/dev/vda", "/dev/xvda", "/dev/nvme0n1", "/dev/dm-0", "/dev/mapper/root", "/dev/root"),
        *("/dev/disk/by-id/x", "/dev/loop0", "/dev/loop-control", "/dev/mmcblk0", "/dev/md0"),
        *("/dev/sg0", "/dev/bsg/x", "/dev/block/x", "/dev/nbd0"),
        *("/dev//sda", "/dev/./sda", "/dev/./mem"),
    ],
)
def test_memory_and_disks_of_the_machine_are_refused(path: str) -> None:
    entry = f"{path}:/dev/x"
    assert problem(devices=[entry]) == (
        "devices.0: is the machine's memory or a disk, which no service may have; found "
        f"{entry!r}; allowed: /dev/dri, /dev/kfd and devices like them"
    )


def test_a_limit_is_a_number_or_a_pair() -> None:
    limits = service(
        ulimits={
            "nofile": {"soft": 1024, "hard": 65536},
            "nproc": 7,
            "memlock": -1,
            "stack": {"soft": 1024, "hard": -1},
        }
    ).ulimits
    assert {name: (one.soft, one.hard) for name, one in limits.items()} == {
        "nofile": (1024, 65536),
        "nproc": (7, 7),
        "memlock": (-1, -1),
        "stack": (1024, -1),
    }


@pytest.mark.parametrize(
    ("ulimits", "text"),
    [
        ({"nofile": {"soft": 1024}}, "ulimits.nofile.hard: is missing"),
        (
            {"nofile": {"soft": 2, "hard": 1}},
            "ulimits.nofile: has a soft limit above the hard one; allowed: soft: at most hard",
        ),
        (
            {"nofile": {"soft": -1, "hard": 1}},
            "ulimits.nofile: has a soft limit above the hard one; allowed: soft: at most hard",
        ),
        ({"nofile": -2}, "ulimits.nofile: is too small; found -2; allowed: at least -1"),
        ({"nofile": True}, "ulimits.nofile: is not a mapping; found True; allowed: hard, soft"),
        ({"nofile": "many"}, "ulimits.nofile: is not a mapping; found 'many'; allowed: hard, soft"),
    ],
)
def test_a_limit_of_another_form_is_refused(ulimits: Any, text: str) -> None:
    assert problem(ulimits=ulimits) == text


@pytest.mark.parametrize("user", ["999:999", "999", "postgres", "postgres:postgres", "image", "0"])
def test_a_user_is_a_number_a_name_or_that_of_the_image(user: str) -> None:
    assert service(user=user).user == user


def test_a_user_may_be_a_number_of_yaml() -> None:
    assert service(user=999).user == "999"
    assert service(group_add=[44, "video"]).group_add == ("44", "video")


def test_a_user_is_the_one_of_all_containers_where_none_is_named() -> None:
    assert service().user == "10001:10001"


@pytest.mark.parametrize("user", ["a b", "999:", ":999", "Root", "1:2:3", ""])
def test_a_user_of_another_form_is_refused(user: str) -> None:
    assert problem(user=user) == (
        f"user: is not a valid user; found {user!r}; allowed: uid:gid, a name of the image's, or "
        "image for its own"
    )


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ("all", "all"),
        (2, "2"),
        (["0", "1"], '"device=0,1"'),
        (["GPU-3a23c669"], '"device=GPU-3a23c669"'),
    ],
)
def test_gpus_are_all_a_number_or_ids(gpus: Any, expected: str) -> None:
    assert service(gpus=gpus).gpus == expected


@pytest.mark.parametrize("gpus", [0, 17, "two", [], ['0"'], True])
def test_gpus_of_another_form_are_refused(gpus: Any) -> None:
    assert problem(gpus=gpus) == (
        f"gpus: is not a valid number of GPUs; found {gpus!r}; allowed: all, 1 to 16, or a list of "
        "ids"
    )


@pytest.mark.parametrize(
    ("keys", "loosened"),
    [
        ({}, {}),
        ({"user": "999:999"}, {}),
        ({"user": "postgres"}, {}),
        ({"user": "0:0"}, {"user": "0:0"}),
        ({"user": "root"}, {"user": "root"}),
        ({"user": "image"}, {"user": "image"}),
        ({"read_only": False}, {"read_only": "false"}),
        ({"cap_add": ["CHOWN", "SETUID"]}, {"cap_add": "CHOWN,SETUID"}),
        ({"devices": ["/dev/dri:/dev/x"]}, {"devices": "/dev/dri"}),
        ({"volumes": ["/mnt/a:/a"]}, {"volumes": "/a"}),
        ({"volumes": ["data:/a", "./x:/x"]}, {}),
        ({"ports": ["53:5353/udp"]}, {"ports": "127.0.0.1:53/udp"}),
        ({"secret_environment": {"URL": "a${b}"}}, {"secret_environment": "URL"}),
    ],
)
def test_what_an_entry_opens_is_listed(keys: dict[str, Any], loosened: dict[str, str]) -> None:
    assert service(**keys).loosened == loosened
