"""The base images: pulled, or stood in for by Debian where no registry can be reached."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from toolchain.commands.steps import Finding
from toolchain.project import Project
from toolchain.setup import debian
from toolchain.stack import reachability
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import ask, follow
from toolchain.terminal.progress import Step

REGISTRY = "https://registry-1.docker.io/v2/"
STAND_IN_LABEL = "llm-stack.stand-in"
# The Debian whose python3 is 3.11; also the name under which its bare image is kept.
SUITE = "bookworm"
BARE_IMAGE = f"llm-stack-stand-in:{SUITE}"
HOST_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LOCAL_AUTHORITIES = Path("/usr/local/share/ca-certificates")
# Nothing that runs in a container reads these.
UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "var/log")
PYTHON_RECIPE = f"""\
FROM {BARE_IMAGE}
RUN apt-get update \\
 && apt-get install -y python3 python3-venv \\
 && ln -s python3 /usr/bin/python \\
 && apt-get clean && rm -rf /var/lib/apt/lists/* /var/log/*
CMD ["python3"]
"""


class BaseImage:
    """One image that the project's Dockerfiles start from."""

    def __init__(self, project: Project, name: str, recipe: str | None = None) -> None:
        self.title = f"Base image {name}"
        self._name = name
        self._recipe = recipe
        self._log = project.step_logs / "base-images.log"

    def find(self) -> Finding:
        answer = ask(["docker", "image", "inspect", "-f", "{{json .Config.Labels}}", self._name])
        if answer.ok:
            return Finding(True, describe(json.loads(answer.out) or {}))
        if registry_reachable():
            return Finding(False, "pulling it")
        return Finding(False, f"making a stand-in from Debian {SUITE}, as no registry answers")

    def make(self, step: Step) -> str:
        if registry_reachable():
            follow(["docker", "pull", self._name], log=self._log, on_line=step.note)
            return "pulled"
        if not ask(["docker", "image", "inspect", BARE_IMAGE]).ok:
            self._make_bare_image(step)
        if self._recipe is None:
            follow(["docker", "tag", BARE_IMAGE, self._name], log=self._log)
        else:
            self._build(step, self._recipe)
        return describe({STAND_IN_LABEL: "true"})

    def _build(self, step: Step, recipe: str) -> None:
        with tempfile.TemporaryDirectory() as context:
            (Path(context) / "Dockerfile").write_text(recipe, encoding="utf-8")
            follow(["docker", "build", "-t", self._name, context], log=self._log, on_line=step.note)

    def _make_bare_image(self, step: Step) -> None:
        if not debian.is_root():
            raise SetupError(
                f"No registry can be reached, so {self._name} must be made with debootstrap, which "
                "takes root's rights. Run this as root."
            )
        if shutil.which("debootstrap") is None:
            packages = ["debootstrap", "debian-archive-keyring"]
            debian.install(packages, purpose="debootstrap", log=self._log, step=step)
        # Without one debootstrap has an archive of its own.
        chosen = [found] if (found := host_archive()) else []
        # /tmp may forbid device nodes and programs.
        with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="llm-stack-") as folder:
            root = Path(folder) / "root"
            step.doing(f"installing Debian {SUITE} into a folder")
            follow(
                ["debootstrap", "--variant=minbase", SUITE, root, *chosen],
                log=self._log,
                on_line=step.note,
            )
            step.note("importing it")
            prepare(root)
            import_image(root, BARE_IMAGE)


def registry_reachable(probe: reachability.Probe = reachability.answers) -> bool:
    """Whether images can be pulled: from Docker Hub, or from a mirror that the engine knows."""
    answer = ask(["docker", "info", "--format", "{{json .RegistryConfig.Mirrors}}"])
    mirrors = answer.ok and answer.out.strip() not in {"", "null", "[]"}
    return mirrors or probe(REGISTRY)


def describe(labels: Mapping[str, str]) -> str:
    """What an image with these labels is."""
    if labels.get(STAND_IN_LABEL) == "true":
        return f"a stand-in made from Debian {SUITE}, not the image of that name"
    return "the image of that name"


def host_archive() -> str | None:
    """The Debian archive that this machine uses itself, if it does."""
    sources = Path("/etc/apt")
    files = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))]
    return archive(file.read_text(encoding="utf-8") for file in files if file.is_file())


def archive(sources: Iterable[str]) -> str | None:
    """The first Debian archive that apt's source files name, in either of their formats."""
    address = re.compile(r"^(?:deb\s.*?|URIs:.*?)(\S+://\S+/debian)/?(?:\s|$)", re.MULTILINE)
    match = next(filter(None, map(address.search, sources)), None)
    return match[1] if match else None


def prepare(root: Path) -> None:
    """Make a fresh Debian small, give it all suites of its archive and the host's authorities."""
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
        raise SetupError(f"debootstrap left no Debian archive in {sources}.")
    sources.write_text(
        f"deb {chosen} {SUITE} main\n"
        f"deb {chosen} {SUITE}-updates main\n"
        f"deb {chosen}-security {SUITE}-security main\n",
        encoding="utf-8",
    )
    if HOST_BUNDLE.exists():
        (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HOST_BUNDLE, root / "etc/ssl/certs/ca-certificates.crt")
    # From here the bundle is made anew when a build installs ca-certificates.
    (root / "usr/local/share/ca-certificates").mkdir(parents=True, exist_ok=True)
    for authority in LOCAL_AUTHORITIES.glob("*.crt"):
        shutil.copy(authority, root / "usr/local/share/ca-certificates")


def import_image(root: Path, name: str) -> None:
    """Hand a root file system to the engine as an image; raises `SetupError`."""
    changes = (
        f"LABEL {STAND_IN_LABEL}=true",
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
