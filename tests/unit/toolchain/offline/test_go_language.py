"""The Go compiler: its version, its download, its checksum."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from toolchain.offline import go_language


@pytest.mark.parametrize(
    ("output", "version"),
    [("go1.26.8\n", (1, 26)), ("go1.19", (1, 19)), ("go1.27rc1", (1, 27)), ("", (0, 0))],
)
def test_go_version_is_parsed(output: str, version: tuple[int, int]) -> None:
    assert go_language.version_of(output) == version


@pytest.mark.parametrize(
    ("setting", "proxy"),
    [
        ("", go_language.DEFAULT_PROXY),
        ("off", go_language.DEFAULT_PROXY),
        ("https://goproxy.example.com/,direct", "https://goproxy.example.com"),
        ("direct|https://goproxy.example.com", "https://goproxy.example.com"),
    ],
)
def test_go_is_downloaded_from_goproxy(setting: str, proxy: str) -> None:
    assert go_language.proxy(setting) == proxy


def test_checksum_equals_the_one_of_go(tmp_path: Path) -> None:
    # The reference value was computed by golang.org/x/mod/sumdb/dirhash.HashZip on this archive.
    path = tmp_path / "module.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("example.com/m@v1.0.0/go.mod", "module example.com/m\n")
        archive.writestr("example.com/m@v1.0.0/a.go", "package m\n")
    with zipfile.ZipFile(path) as archive:
        assert (
            go_language.module_checksum(archive)
            == "h1:SXy42eQ/QbleX7vtuAPFnaM3tNuQnfeo7rulG/p7iOw="
        )


def test_every_platform_has_a_checksum() -> None:
    assert all(value.startswith("h1:") for value in go_language.GO_CHECKSUMS.values())
    assert go_language.version_of(f"go{go_language.GO}") >= go_language.GO_MINIMUM
