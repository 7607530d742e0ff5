"""Which archive is downloaded, and what it must hash to."""

from __future__ import annotations

import pytest

from toolchain import official_release, versions
from toolchain.errors import SetupError


@pytest.mark.parametrize(
    ("system", "machine", "ending"),
    [
        ("linux", "x86_64", "linux-x64"),
        ("linux", "aarch64", "linux-arm64"),
        ("darwin", "arm64", "darwin-arm64"),
    ],
)
def test_the_archive_is_the_one_of_this_platform(system: str, machine: str, ending: str) -> None:
    name = official_release.archive_name(system, machine)
    assert name == f"pulumi-v{versions.PULUMI}-{ending}.tar.gz"


def test_a_platform_without_a_release_is_named() -> None:
    with pytest.raises(SetupError, match="no release for linux on riscv64"):
        official_release.archive_name("linux", "riscv64")


def test_the_digest_is_that_of_the_archive_and_of_no_other() -> None:
    checksums = "AA11  pulumi-v3-darwin-arm64.tar.gz\nBB22  pulumi-v3-linux-x64.tar.gz\n"
    assert official_release.published_digest(checksums, "pulumi-v3-linux-x64.tar.gz") == "bb22"


def test_an_archive_without_a_published_digest_is_refused() -> None:
    with pytest.raises(SetupError, match="does not name pulumi-v3-linux-x64"):
        official_release.published_digest("", "pulumi-v3-linux-x64.tar.gz")
