"""Builds substitutes for base images from Debian."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from toolchain.project import SUBSTITUTE_LABEL
from toolchain.setup import debian
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import capture, follow
from toolchain.terminal.progress import Step

# The Debian release with Python 3.11.
SUITE = "bookworm"
BARE_IMAGE = f"llm-stack-stand-in:{SUITE}"
HOST_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LOCAL_AUTHORITIES = Path("/usr/local/share/ca-certificates")
# Programs in containers do not read these.
UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "var/log")
# Dockerfiles of substitutes; an image without one is the bare Debian.
RECIPES = {
    "python:3.11-slim": f"""\
FROM {BARE_IMAGE}
RUN apt-get update \\
 && apt-get install -y python3 python3-venv \\
 && ln -s python3 /usr/bin/python \\
 && apt-get clean && rm -rf /var/lib/apt/lists/* /var/log/*
CMD ["python3"]
""",
}


def build(name: str, log: Path, step: Step) -> None:
    """Build a substitute for the base image `name`; raises `SetupError`."""
    if not capture(["docker", "image", "inspect", BARE_IMAGE]).ok:
        _build_bare_image(name, log, step)
    if recipe := RECIPES.get(name):
        with tempfile.TemporaryDirectory() as context:
            (Path(context) / "Dockerfile").write_text(recipe, encoding="utf-8")
            follow(["docker", "build", "-t", name, context], log=log, on_line=step.note)
    else:
        follow(["docker", "tag", BARE_IMAGE, name], log=log)


def _build_bare_image(name: str, log: Path, step: Step) -> None:
    if not debian.is_root():
        raise SetupError(
            f"No registry can be reached, so {name} must be built with debootstrap, which "
            "requires root. Run this command as root."
        )
    if shutil.which("debootstrap") is None:
        packages = ["debootstrap", "debian-archive-keyring"]
        debian.install(packages, purpose="debootstrap", log=log, step=step)
    # Without an archive, debootstrap uses its default one.
    chosen = [found] if (found := host_archive()) else []
    # /tmp may be mounted with nodev or noexec.
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="llm-stack-") as folder:
        root = Path(folder) / "root"
        step.doing(f"installing Debian {SUITE} into a folder")
        follow(
            ["debootstrap", "--variant=minbase", SUITE, root, *chosen],
            log=log,
            on_line=step.note,
        )
        step.note("importing it")
        prepare(root)
        import_image(root, BARE_IMAGE)


def host_archive() -> str | None:
    """The Debian archive in the host's apt sources, if there is one."""
    sources = Path("/etc/apt")
    files = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))]
    return archive(file.read_text(encoding="utf-8") for file in files if file.is_file())


def archive(sources: Iterable[str]) -> str | None:
    """The first Debian archive in apt's source files, in the one-line or the deb822 format."""
    address = re.compile(r"^(?:deb\s.*?|URIs:.*?)(\S+://\S+/debian)/?(?:\s|$)", re.MULTILINE)
    match = next(filter(None, map(address.search, sources)), None)
    return match[1] if match else None


def prepare(root: Path) -> None:
    """Shrink a new Debian; add all suites of its archive and the host's CA certificates."""
    for folder in UNUSED:
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir()
    for pattern in ("var/cache/apt/*.bin", "var/cache/apt/archives/*.deb", "var/lib/apt/lists/*"):
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    excluded = "".join(f"path-exclude=/{folder}/*\n" for folder in UNUSED if "share" in folder)
    (root / "etc/dpkg/dpkg.cfg.d/90-small").write_text(excluded, encoding="utf-8")
    (root / "etc/apt/apt.conf.d/90-small").write_text(
        'Acquire::Languages "none";\nAPT::Install-Recommends "false";\n', encoding="utf-8"
    )
    sources = root / "etc/apt/sources.list"
    chosen = archive([sources.read_text(encoding="utf-8")])
    if chosen is None:
        raise SetupError(f"debootstrap wrote no Debian archive to {sources}.")
    sources.write_text(
        f"deb {chosen} {SUITE} main\n"
        f"deb {chosen} {SUITE}-updates main\n"
        f"deb {chosen}-security {SUITE}-security main\n",
        encoding="utf-8",
    )
    if HOST_BUNDLE.exists():
        (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HOST_BUNDLE, root / "etc/ssl/certs/ca-certificates.crt")
    # update-ca-certificates rebuilds the bundle from this folder.
    (root / "usr/local/share/ca-certificates").mkdir(parents=True, exist_ok=True)
    for authority in LOCAL_AUTHORITIES.glob("*.crt"):
        shutil.copy(authority, root / "usr/local/share/ca-certificates")


def import_image(root: Path, name: str) -> None:
    """Import a root file system as an image; raises `SetupError`."""
    changes = (
        f"LABEL {SUBSTITUTE_LABEL}=true",
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8",
        'CMD ["bash"]',
    )
    options = [word for change in changes for word in ("--change", change)]
    left_out = [f"--exclude=./{folder}/*" for folder in ("dev", "proc", "sys", "run", "tmp")]
    with subprocess.Popen(
        ["tar", "-C", str(root), "--numeric-owner", *left_out, "-c", "."],
        stdout=subprocess.PIPE,
    ) as tar:
        result = subprocess.run(
            ["docker", "import", *options, "-", name],
            stdin=tar.stdout,
            capture_output=True,
            text=True,
        )
    if tar.returncode or result.returncode:
        raise SetupError(f"docker import of {name} failed: {result.stderr}")
