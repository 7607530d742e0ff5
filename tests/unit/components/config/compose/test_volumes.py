"""What is mounted in a container: `volumes`, `tmpfs`, `shm_size`."""

from __future__ import annotations

from typing import Any

import pytest

from components.config.compose.volumes import (
    HostPath,
    NamedVolume,
    RepositoryFiles,
    Tmpfs,
    VolumeMount,
)
from tests.unit.components.config.compose.container_entry import problem, service

FORM = "allowed: 'name:/path', './file:/path' or '/host/folder:/path[:rw]'"
SYSTEM = (
    "is a system folder of the machine; found {found!r}; allowed: a folder for this purpose, such "
    "as /srv/models; devices: for devices"
)
SOCKET = (
    "gives control of the machine: who can use the engine's socket is root there; found {found!r}; "
    "allowed: none; the monitor restarts what is unhealthy, and Pulumi starts containers"
)


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("data:/var/lib/data", NamedVolume("data", "/var/lib/data")),
        ("data:/var/lib/data/:ro", NamedVolume("data", "/var/lib/data", read_only=True)),
        ("data:/var/lib/data:rw", NamedVolume("data", "/var/lib/data")),
        ("pg_data.17:/data", NamedVolume("pg_data.17", "/data")),
        ("./docs:/srv", RepositoryFiles("docs", "/srv")),
        ("./docs/../docs/a.md:/a.md:ro", RepositoryFiles("docs/a.md", "/a.md")),
        ("/mnt/models:/models", HostPath("/mnt/models", "/models")),
        ("/mnt/models/:/models:ro", HostPath("/mnt/models", "/models")),
        ("/mnt/out:/out:rw", HostPath("/mnt/out", "/out", read_only=False)),
        ("/etc/localtime:/etc/localtime:ro", HostPath("/etc/localtime", "/etc/localtime")),
        ("/etc/timezone:/etc/timezone", HostPath("/etc/timezone", "/etc/timezone")),
        ("/home/ada/models:/models", HostPath("/home/ada/models", "/models")),
        ("/var/lib/models:/models", HostPath("/var/lib/models", "/models")),
        ("/etcetera:/x", HostPath("/etcetera", "/x")),
        ("/mnt//models:/models", HostPath("/mnt/models", "/models")),
        ("//mnt/models://models", HostPath("/mnt/models", "/models")),
    ],
)
def test_a_volume_is_a_name_a_file_of_the_project_or_a_path_of_the_machine(
    text: str, mount: VolumeMount
) -> None:
    assert service(volumes=[text]).volumes == (mount,)


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/proc", "/proc/1", "/sys", "/sys/fs/cgroup", "/etc", "/etc/passwd", "/dev"),
        *("/dev/sda", "/boot", "/run", "/run/user/1000", "/var/run", "/var/run/x", "/usr"),
        *("/usr/local/bin", "/bin", "/sbin", "/lib", "/lib/modules", "/lib64", "/root"),
        *("/root/.ssh", "/home", "/var", "/var/lib", "/var/lib/docker", "/opt", "/srv"),
        *("/etc/", "/./etc", "/etc/localtime/x", "//etc", "///etc", "//", "/mnt/./../etc"),
    ],
)
def test_a_system_folder_is_refused(path: str) -> None:
    entry = f"{path}:/x:ro"
    text = problem(volumes=[entry])
    if ".." in path:
        assert text == f"volumes.0: has .. in its path; found {entry!r}; allowed: the path itself"
    else:
        assert text == "volumes.0: " + SYSTEM.format(found=entry)


@pytest.mark.parametrize(
    "path",
    [
        *("/var/run/docker.sock", "/run/docker.sock", "/run/user/1000/docker.sock"),
        *("/run/podman/podman.sock", "/run/containerd/containerd.sock", "/mnt/docker.sock"),
        "//var/run/docker.sock",
    ],
)
def test_the_socket_of_an_engine_is_refused(path: str) -> None:
    entry = f"{path}:/var/run/docker.sock"
    assert problem(volumes=[entry]) == "volumes.0: " + SOCKET.format(found=entry)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("/data", f"is not a valid volume; found '/data'; {FORM}"),
        ("data:/a:/b", f"is not a valid volume; found 'data:/a:/b'; {FORM}"),
        ("data:/a:z", f"is not a valid volume; found 'data:/a:z'; {FORM}"),
        ("data:/a:ro,rw", f"is not a valid volume; found 'data:/a:ro,rw'; {FORM}"),
        (7, f"is not a valid volume; found 7; {FORM}"),
        ({"type": "bind"}, f"is not a valid volume; {FORM}"),
        (
            "~/models:/models",
            "is a path that depends on who runs Pulumi, and the engine may be elsewhere; found "
            f"'~/models:/models'; {FORM}",
        ),
        (
            "$HOME/models:/models",
            "is a path that depends on who runs Pulumi, and the engine may be elsewhere; found "
            f"'$HOME/models:/models'; {FORM}",
        ),
        (
            "../models:/models",
            "is a path that depends on who runs Pulumi, and the engine may be elsewhere; found "
            f"'../models:/models'; {FORM}",
        ),
        (
            "Data:/data",
            "has 'Data' in place of a volume's name; found 'Data:/data'; allowed: 1 to 63 of a-z, "
            "0-9 and . _ - for a name, ./ before a file",
        ),
        (
            "conf/app.yml:/app.yml",
            "has 'conf/app.yml' in place of a volume's name; found 'conf/app.yml:/app.yml'; "
            "allowed: 1 to 63 of a-z, 0-9 and . _ - for a name, ./ before a file",
        ),
        (
            "data:data",
            f"has 'data' in place of a path in the container; found 'data:data'; {FORM}",
        ),
        ("data:/", f"has '/' in place of a path in the container; found 'data:/'; {FORM}"),
        ("data://", f"has '//' in place of a path in the container; found 'data://'; {FORM}"),
        (
            "data:/a/../b",
            f"has '/a/../b' in place of a path in the container; found 'data:/a/../b'; {FORM}",
        ),
        (
            "./x:/x:rw",
            "is a file of the project, which no container writes; found './x:/x:rw'; allowed: a "
            "named volume for what is written: name:/path",
        ),
        (
            "./../x:/x",
            "is not inside the project; found './../x:/x'; allowed: ./folder/file:/path",
        ),
        ("./:/x", "is not inside the project; found './:/x'; allowed: ./folder/file:/path"),
        (
            "/dev/shm:/dev/shm",
            "is the machine's shared memory; found '/dev/shm:/dev/shm'; allowed: shm_size: 1g for "
            "its own",
        ),
    ],
)
def test_a_volume_of_another_form_is_refused(entry: Any, text: str) -> None:
    assert problem(volumes=[entry]) == f"volumes.0: {text}"


@pytest.mark.parametrize(
    ("entry", "expected", "options"),
    [
        ("/run", Tmpfs("/run"), "rw,noexec,nosuid,nodev,size=67108864,mode=1777,uid=999,gid=998"),
        (
            "/run:size=16m",
            Tmpfs("/run", 16 * 1024**2),
            "rw,noexec,nosuid,nodev,size=16777216,mode=1777,uid=999,gid=998",
        ),
        (
            "/run:size=1k,mode=1777,exec,uid=999,gid=999,rw,nosuid,nodev",
            Tmpfs("/run", 1024, "1777", executable=True),
            "rw,exec,nosuid,nodev,size=1024,mode=1777,uid=999,gid=998",
        ),
        ("/run:", Tmpfs("/run"), "rw,noexec,nosuid,nodev,size=67108864,mode=1777,uid=999,gid=998"),
    ],
)
def test_a_file_system_in_memory_has_a_size_and_the_safe_options(
    entry: str, expected: Tmpfs, options: str
) -> None:
    assert service(tmpfs=[entry]).tmpfs == (expected,)
    assert service(tmpfs=entry).tmpfs == (expected,), "one may be written without a list"
    assert expected.options("999:998") == options


OPTIONS = "allowed: size=64m, mode=1777, exec, rw, noexec"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("/run:suid", f"has the option 'suid'; found '/run:suid'; {OPTIONS}"),
        ("/run:dev", f"has the option 'dev'; found '/run:dev'; {OPTIONS}"),
        ("/run:mode=9", f"has the option 'mode=9'; found '/run:mode=9'; {OPTIONS}"),
        (
            "/run:size=lots",
            "is not a valid size; found '/run:size=lots'; allowed: a number with k, m or g, such "
            "as 64m",
        ),
        (
            "/run:size=0",
            "is not a valid size; found '/run:size=0'; allowed: a number with k, m or g, such as "
            "64m",
        ),
        ("run", f"has 'run' in place of a path in the container; found 'run'; {FORM}"),
        ("/", f"has '/' in place of a path in the container; found '/'; {FORM}"),
        (
            {"target": "/run"},
            "is not a valid tmpfs; allowed: '/path' or '/path:size=64m'",
        ),
    ],
)
def test_a_file_system_in_memory_of_another_form_is_refused(entry: Any, text: str) -> None:
    assert problem(tmpfs=[entry]) == f"tmpfs.0: {text}"
