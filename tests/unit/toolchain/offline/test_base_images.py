"""The stand-ins for base images: where Debian comes from, and what is taken out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.offline import base_images
from toolchain.offline.base_images import archive, describe, prepare

DEB822 = """\
Types: deb
# A comment
URIs: http://mirror.example.com/debian
Suites: bookworm bookworm-updates

Types: deb
URIs: http://mirror.example.com/debian-security
Suites: bookworm-security
"""
ONE_LINE = """\
deb https://packages.example.com/apt other-bookworm main
deb [arch=amd64 signed-by=/a.gpg] https://mirror.example.com/pub/debian/ bookworm main
"""


@pytest.mark.parametrize(
    ("sources", "chosen"),
    [
        ([DEB822], "http://mirror.example.com/debian"),
        (["", ONE_LINE], "https://mirror.example.com/pub/debian"),
        (["deb http://archive.example.com/ubuntu noble main\n"], None),
        (["# deb http://old.example.com/debian bookworm main\n"], None),
    ],
    ids=["deb822", "one line", "not Debian", "commented out"],
)
def test_the_archive_of_the_host_is_used(sources: list[str], chosen: str | None) -> None:
    assert archive(sources) == chosen


def test_a_stand_in_is_never_taken_for_the_real_image() -> None:
    assert "not the image of that name" in describe({"llm-stack.stand-in": "true"})
    assert describe({}) == "the image of that name"


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for file in (
        "etc/apt/apt.conf.d/01autoremove",
        "etc/dpkg/dpkg.cfg.d/existing",
        "usr/share/doc/bash/README",
        "usr/share/locale/de/bash.mo",
        "usr/bin/bash",
        "var/log/bootstrap.log",
        "var/cache/apt/pkgcache.bin",
        "var/cache/apt/archives/bash.deb",
        "var/lib/apt/lists/archive_Packages",
        "var/lib/dpkg/status",
    ):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("x")
    # As debootstrap leaves it.
    (root / "etc/apt/sources.list").write_text("deb http://mirror.example.com/debian bookworm main")
    return root


def test_what_no_container_reads_is_left_out(debian: Path) -> None:
    prepare(debian)
    left = {str(path.relative_to(debian)) for path in debian.rglob("*") if path.is_file()}
    assert {"usr/bin/bash", "var/lib/dpkg/status"} <= left
    assert not any("usr/share" in file or file.endswith((".deb", "_Packages")) for file in left)


def test_apt_in_a_build_asks_the_same_archives(debian: Path) -> None:
    prepare(debian)
    sources = (debian / "etc/apt/sources.list").read_text()
    assert "deb http://mirror.example.com/debian bookworm main" in sources
    assert "deb http://mirror.example.com/debian-security bookworm-security main" in sources


def test_the_certificate_authorities_of_the_host_outlive_an_update(
    debian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bundle.crt").write_text("all")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "company.crt").write_text("company")
    monkeypatch.setattr(base_images, "HOST_BUNDLE", tmp_path / "bundle.crt")
    monkeypatch.setattr(base_images, "LOCAL_AUTHORITIES", tmp_path / "local")
    prepare(debian)
    assert (debian / "etc/ssl/certs/ca-certificates.crt").read_text() == "all"
    # update-ca-certificates, which a package may run, makes the bundle from this folder.
    assert (debian / "usr/local/share/ca-certificates/company.crt").read_text() == "company"
