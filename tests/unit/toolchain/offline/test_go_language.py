"""The Go compiler: which is new enough, where another comes from, what proves it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from toolchain import versions
from toolchain.offline import go_language


@pytest.mark.parametrize(
    ("said", "version"),
    [("go1.26.8\n", (1, 26)), ("go1.19", (1, 19)), ("go1.27rc1", (1, 27)), ("", (0, 0))],
)
def test_a_version_of_go_is_read(said: str, version: tuple[int, int]) -> None:
    assert go_language.version_of(said) == version


@pytest.mark.parametrize(
    ("setting", "proxy"),
    [
        ("", go_language.DEFAULT_PROXY),
        ("off", go_language.DEFAULT_PROXY),
        ("https://goproxy.example.com/,direct", "https://goproxy.example.com"),
        ("direct|https://goproxy.example.com", "https://goproxy.example.com"),
    ],
)
def test_go_comes_from_the_proxy_that_the_person_chose(setting: str, proxy: str) -> None:
    assert go_language.proxy(setting) == proxy


def test_the_checksum_is_the_one_that_go_computes(tmp_path: Path) -> None:
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


def test_every_pinned_platform_has_a_checksum_of_the_pinned_go() -> None:
    assert all(value.startswith("h1:") for value in versions.GO_CHECKSUMS.values())
    assert go_language.version_of(f"go{versions.GO}") >= versions.GO_MINIMUM
