"""Volumes, files, folders, paths of the machine, memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.toolchain.compose.conftest import Files, Importing, changed, outcome
from toolchain.compose.outcome import Outcome


def mounted(compose: Importing, volume: str, **options: object) -> Outcome:
    text = f"services: {{app: {{image: 'a:1', volumes: [{volume}]}}}}"
    return outcome(compose(text, **options), "app")


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ("'data:/data'", "data:/data"),
        ("'app_data:/data:ro'", "app_data:/data:ro"),
        ("'Data:/data'", "data:/data"),
        ("/cache", "app-cache:/cache"),
        ("{type: volume, source: data, target: /data}", "data:/data"),
        ("./data:/data", "app-data:/data"),
        ("./qdrant_storage:/data:z", "qdrant-storage:/data"),
        ("./files_v1.35:/data", "files-v1-35:/data"),
        ("./app.yaml:/etc/app.yaml", "./catalog/shop/app.yaml:/etc/app.yaml"),
        ("./conf:/etc/app:ro", "./catalog/shop/conf:/etc/app"),
        ("../up/app.yaml:/app.yaml:ro", "./catalog/shop/up/app.yaml:/app.yaml"),
        ("{type: bind, source: ./app.yaml, target: /a}", "./catalog/shop/app.yaml:/a"),
        ("/srv/models:/models", "/srv/models:/models:rw"),
        ("/srv/models:/models:ro", "/srv/models:/models"),
        ("~/models:/models:ro", "/home/me/models:/models"),
        ("'${HOME}/models:/models:ro'", "/home/me/models:/models"),
        ("'${PWD}/app.yaml:/app.yaml'", "./catalog/shop/app.yaml:/app.yaml"),
        ("/root/hub:/hub", "hub:/hub"),
        ("'app-models:/models'", "shop-app-models:/models"),
        ("/etc/localtime:/etc/localtime:ro", "/etc/localtime:/etc/localtime"),
    ],
)
def test_each_form(compose: Importing, volume: str, expected: str) -> None:
    one = mounted(compose, volume, environment={"HOME": "/home/me", "PWD": "/elsewhere"})
    assert one.entry["volumes"] == [expected]
    assert one.written


def test_what_is_different_is_reported(compose: Importing, write: Files) -> None:
    write("data/rows.bin", "x")
    write("app.yaml", "a: 1\n")
    assert "the service may write there (loosened)" in changed(mounted(compose, "/srv/x:/x"))
    data = changed(mounted(compose, "./data:/data"))
    assert "the folder ./data is now the volume app-data" in data
    assert "to keep the data in" in data
    assert "read-only: files of the repository" in changed(mounted(compose, "./app.yaml:/a"))
    assert "create catalog/shop/gone.yaml" in changed(mounted(compose, "./gone.yaml:/a"))


def test_files_are_copied_where_they_are_text_without_secrets(
    compose: Importing, write: Files, folder: Path
) -> None:
    file = write("app.yaml", "level: info\n")
    write("secret.yaml", "master_key: abcdefgh-1234\n")
    (folder / "image.png").write_bytes(b"\0\1")
    assert [one.source for one in mounted(compose, "./app.yaml:/a").files] == [file]
    for name, reason in (
        ("secret.yaml", "it looks like it holds a secret"),
        ("image.png", "it is not a text file"),
    ):
        one = mounted(compose, f"./{name}:/a")
        assert not one.files
        assert reason in changed(one)


def test_a_folder_of_settings_is_copied_and_a_folder_of_data_is_not(
    compose: Importing, write: Files
) -> None:
    write("provisioning/a/b.yml", "a: 1\n")
    write("rows/a.txt", "x\n")
    assert mounted(compose, "./provisioning:/p").entry["volumes"] == [
        "./catalog/shop/provisioning:/p"
    ]
    assert mounted(compose, "./rows:/rows").entry["volumes"] == ["rows:/rows"]


def test_one_folder_of_two_services_is_one_volume(compose: Importing) -> None:
    done = compose(
        """
        services:
          web: {image: 'a:1', volumes: ["./models:/models"]}
          job: {image: 'b:1', volumes: ["./models:/data"]}
        """
    )
    assert outcome(done, "web").entry["volumes"] == ["web-model-files:/models"]
    assert outcome(done, "job").entry["volumes"] == ["web-model-files:/data"]


def test_volumes_at_the_top_of_the_file(compose: Importing) -> None:
    done = compose(
        """
        services: {app: {image: 'a:1', volumes: ["bound:/bound", "old:/old"]}}
        volumes:
          bound: {driver_opts: {type: none, o: bind, device: /srv/bound}}
          old: {external: true, name: older}
        """
    )
    one = outcome(done, "app")
    assert one.entry["volumes"] == ["/srv/bound:/bound:rw", "old:/old"]
    assert "to keep the data in the volume older" in changed(one)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/var/run/docker.sock", "gives control of the machine"),
        ("/run/podman/podman.sock", "gives control of the machine"),
        ("/", "belongs to the system"),
        ("/proc", "belongs to the system"),
        ("/sys/fs/cgroup", "belongs to the system"),
        ("/etc", "belongs to the system"),
        ("/var/lib/docker/containers", "belongs to the system"),
        ("/root", "belongs to the system"),
    ],
)
def test_the_system_of_the_machine_is_refused(compose: Importing, path: str, reason: str) -> None:
    one = mounted(compose, f"'{path}:/x:ro'")
    assert not one.written
    assert reason in changed(one)


def test_memory_and_devices_in_place_of_paths(compose: Importing) -> None:
    assert mounted(compose, "/dev/shm:/dev/shm").entry["shm_size"] == "1g"
    assert "use devices: [/dev/dri]" in changed(mounted(compose, "/dev/dri:/dev/dri"))


def test_tmpfs_in_each_form(compose: Importing) -> None:
    done = compose(
        """
        services:
          a:
            image: a:1
            tmpfs: ["/run:size=16m,mode=755,uid=5", /var/cache]
            volumes: [{type: tmpfs, target: /x, tmpfs: {size: 1048576}}]
          b: {image: 'b:1', tmpfs: /run}
        """
    )
    assert outcome(done, "a").entry["tmpfs"] == [
        "/run:size=16m,mode=755",
        "/var/cache",
        "/x:size=1m",
    ]
    assert outcome(done, "b").entry["tmpfs"] == ["/run"]


def test_configs(compose: Importing, write: Files) -> None:
    write("a.conf", "a\n")
    done = compose(
        """
        services:
          app:
            image: a:1
            configs: [inline, {source: file, target: /etc/a.conf}, secret]
        configs:
          inline: {content: "level: ${LEVEL:-info}\\n"}
          file: {file: ./a.conf}
          secret: {content: "password: ${DB_PASSWORD}\\n"}
        """
    )
    one = outcome(done, "app")
    assert one.entry["volumes"] == [
        "./catalog/shop/inline:/inline",
        "./catalog/shop/a.conf:/etc/a.conf",
    ]
    assert [copy.content for copy in one.files] == ["level: info\n", None]
    assert "configs secret: it holds a secret" in changed(one)
