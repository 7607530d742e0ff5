"""Substitutes for base images: the Debian archive, and the changes to a new Debian."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.offline import substitute_images
from toolchain.offline.substitute_images import archive, prepare

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
def test_archive_of_the_host_is_used(sources: list[str], chosen: str | None) -> None:
    assert archive(sources) == chosen


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
    # As written by debootstrap.
    (root / "etc/apt/sources.list").write_text("deb http://mirror.example.com/debian bookworm main")
    return root


def test_unused_files_are_removed(debian: Path) -> None:
    prepare(debian)
    left = {str(path.relative_to(debian)) for path in debian.rglob("*") if path.is_file()}
    assert {"usr/bin/bash", "var/lib/dpkg/status"} <= left
    assert not any("usr/share" in file or file.endswith((".deb", "_Packages")) for file in left)


def test_apt_uses_the_same_archive(debian: Path) -> None:
    prepare(debian)
    sources = (debian / "etc/apt/sources.list").read_text()
    assert "deb http://mirror.example.com/debian bookworm main" in sources
    assert "deb http://mirror.example.com/debian-security bookworm-security main" in sources


def test_ca_certificates_of_the_host_are_kept_by_an_update(
    debian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bundle.crt").write_text("all")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "company.crt").write_text("company")
    monkeypatch.setattr(substitute_images, "HOST_BUNDLE", tmp_path / "bundle.crt")
    monkeypatch.setattr(substitute_images, "LOCAL_AUTHORITIES", tmp_path / "local")
    prepare(debian)
    assert (debian / "etc/ssl/certs/ca-certificates.crt").read_text() == "all"
    # update-ca-certificates rebuilds the bundle from this folder.
    assert (debian / "usr/local/share/ca-certificates/company.crt").read_text() == "company"
