"""The SHA-256 of the archives of Pulumi's plugins.

python3 -m toolchain.setup.pinned_plugins                 downloads all, writes plugins.sha256
python3 -m toolchain.setup.pinned_plugins install NAME    installs one and compares its archive
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from toolchain import versions
from toolchain.setup.official_release import download
from toolchain.terminal.errors import SetupError

# In the form of sha256sum. An empty file pins nothing.
DIGESTS = Path(__file__).with_name("plugins.sha256")
SERVER = "https://get.pulumi.com/releases/plugins"
PLATFORMS = ("darwin-amd64", "darwin-arm64", "linux-amd64", "linux-arm64")
PLUGINS = {"cloudflare": versions.CLOUDFLARE_PLUGIN, "docker": versions.DOCKER_PLUGIN}
COMMAND = "python3 -m toolchain.setup.pinned_plugins"


def archive_name(plugin: str, of_platform: str) -> str:
    """The archive of a plugin for a platform, as Pulumi names it."""
    return f"pulumi-resource-{plugin}-v{PLUGINS[plugin]}-{of_platform}.tar.gz"


def this_platform(system: str = sys.platform, machine: str | None = None) -> str:
    """Pulumi's name of a platform."""
    machine = (machine or platform.machine()).lower()
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    return f"{system}-{names.get(machine, machine)}"


def pinned() -> dict[str, str]:
    """The digests by archive."""
    lines = (line.split() for line in DIGESTS.read_text(encoding="utf-8").splitlines())
    return {archive: digest for digest, archive in lines}


def install_command(plugin: str, folder: Path, note: Callable[[str], None]) -> list[str]:
    """The arguments of pulumi that install a plugin: a pinned one from its archive in `folder`.

    Raises `SetupError` if its archive is another one, or if only other archives are pinned.
    """
    command = ["plugin", "install", "resource", plugin, PLUGINS[plugin]]
    digests = pinned()
    if not digests:
        return command
    archive = archive_name(plugin, this_platform())
    if archive not in digests:
        raise SetupError(f"{DIGESTS.name} has no digest of {archive}; run: {COMMAND}")
    # Not by pulumi's --checksum, which does not hash the last bytes of a response with a length.
    found = download(f"{SERVER}/{archive}", folder / archive, note)
    if found != digests[archive]:
        raise SetupError(
            f"{archive} has SHA-256 {found}, but {DIGESTS.name} contains {digests[archive]}."
        )
    return [*command, "--file", str(folder / archive)]


def pin() -> None:
    """Download every archive and write its digest; raises `SetupError`."""
    archives = [archive_name(plugin, one) for plugin in PLUGINS for one in PLATFORMS]
    with tempfile.TemporaryDirectory() as folder:
        digests = {
            archive: download(f"{SERVER}/{archive}", Path(folder) / archive, _quiet)
            for archive in archives
        }
    lines = [f"{digest}  {archive}\n" for archive, digest in digests.items()]
    DIGESTS.write_text("".join(lines), encoding="utf-8")


def _quiet(text: str) -> None: ...


def _install(plugin: str) -> int:
    """Install a plugin unless it is there; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        command = install_command(plugin, Path(folder), _quiet)
        return subprocess.run(["pulumi", *command]).returncode


def main(arguments: list[str]) -> int:
    """Pin all plugins, or install one; return the exit code."""
    try:
        match arguments:
            case []:
                pin()
            case ["install", plugin] if plugin in PLUGINS:
                return _install(plugin)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
