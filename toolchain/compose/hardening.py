"""User, root file system and capabilities: the stack's defaults, and what images need."""

from __future__ import annotations

import re

from toolchain.compose.catalogue_entries import CatalogueEntries, KnownEntry
from toolchain.compose.forms import is_true
from toolchain.compose.known_images import is_alpine, repository
from toolchain.compose.outcome import Outcome
from toolchain.compose.yaml_file import Section

# What an entrypoint needs that starts as root and then changes to its own user.
ROOT_ENTRYPOINT = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]
_REFUSED = {
    "ALL", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH", "LINUX_IMMUTABLE",
    "MAC_ADMIN", "MAC_OVERRIDE", "PERFMON", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_PACCT",
    "SYS_PTRACE", "SYS_RAWIO", "SYS_TTY_CONFIG",
}  # fmt: skip
_USER = re.compile(r"([a-z_][a-z0-9_-]*|[0-9]{1,10})(:([a-z_][a-z0-9_-]*|[0-9]{1,10}))?")


def apply_hardening(
    service: Section, catalogue: CatalogueEntries, outcome: Outcome, *, job: bool
) -> None:
    """`user`, `read_only`, `cap_add`, `tmpfs` and limits, as the image needs them."""
    image = service.get("image")
    known = catalogue.images.get(repository(image)) if image else None
    if known and not job and _runs_alike(service, known, outcome):
        _apply_known(known, outcome)
    else:
        outcome.entry |= {"user": "image", "read_only": False, "cap_add": list(ROOT_ENTRYPOINT)}
        outcome.change(
            "hardening",
            "loosened, since no entry of the catalogue runs the image in this way: its own user, a "
            "writable root and the capabilities of an entrypoint that starts as root. To tighten "
            "it, remove cap_add, then set read_only: true with a tmpfs for what it writes, then "
            "user: 10001:10001, and start it after each step",
        )
    _apply_own(service, outcome)
    if known:
        limits = {key: one for key, one in known.limits.items() if key not in outcome.entry}
        outcome.entry |= limits
        for key, limit in limits.items():
            outcome.change(key, f"{limit}, as in the catalogue's {known.name}")
    if "memory" not in outcome.entry:
        outcome.change(
            "memory",
            "the stack's default (llm-stack:defaults.memory, 1GiB), since the compose file has no "
            "limit; set memory where the program needs more",
        )


def _runs_alike(service: Section, known: KnownEntry, outcome: Outcome) -> bool:
    """Whether what an entry of the same image needs is also right here."""
    volumes = outcome.entry.get("volumes", [])
    own = {text.split(":")[1] for text in volumes if not text.startswith((".", "/"))}
    written = any(text.startswith("/") and text.endswith(":rw") for text in volumes)
    given = service.get("entrypoint") or service.get("user")
    if is_alpine(service["image"]) != known.on_alpine:
        return False
    return known.paths <= own and not written and not given and "build" not in outcome.entry


def _apply_known(known: KnownEntry, outcome: Outcome) -> None:
    settings = dict(known.settings)
    if known.port != outcome.entry.get("port"):
        settings.pop("health", None)
    for key, value in settings.items():
        if key == "tmpfs":
            _add_tmpfs(outcome, value)
        else:
            outcome.entry.setdefault(key, value)
    own = outcome.entry.get("environment", {})
    held = outcome.entry.get("secret_environment", {})
    # Variables that lead a program to what it may write, where its root is read-only.
    paths = {
        name: text
        for name, text in known.environment.items()
        if name not in own and name not in held and text.startswith(tuple(known.paths or ("\0",)))
    }
    if paths:
        outcome.entry["environment"] = {**own, **paths}
    found = ", ".join([*settings, *paths]) or "the stack's defaults"
    outcome.change(
        "hardening", f"as the catalogue's {known.name}, which has the same image: {found}"
    )


def _add_tmpfs(outcome: Outcome, paths: object) -> None:
    own = outcome.entry.get("tmpfs", [])
    used = {path.partition(":")[0] for path in own}
    used |= {text.split(":")[1] for text in outcome.entry.get("volumes", [])}
    added = (
        [path for path in paths if str(path).partition(":")[0] not in used]
        if isinstance(paths, list)
        else []
    )
    if own or added:
        outcome.entry["tmpfs"] = [*own, *added]


def _apply_own(service: Section, outcome: Outcome) -> None:
    """What the compose file itself has comes first."""
    if user := service.get("user"):
        if _USER.fullmatch(user):
            outcome.entry["user"] = user
            outcome.carried.append("user")
            if user.partition(":")[0] not in {"0", "root"}:
                outcome.entry.pop("cap_add", None)
        else:
            outcome.change("user", "the image's own: allowed are numbers and names, as 1000:1000")
    read_only = service.get("read_only")
    if is_true(read_only):
        outcome.entry.pop("read_only", None)
        outcome.carried.append("read_only")
    added = [name.removeprefix("CAP_") for name in service.get("cap_add") or []]
    for name in added:
        if name.upper() in _REFUSED:
            outcome.refuse(
                "cap_add",
                f"{name} gives the container control of the machine",
                "run this service outside the stack; kind: external leads the gateway to its API",
            )
    if added:
        outcome.entry["cap_add"] = sorted({*outcome.entry.get("cap_add", []), *added})
        outcome.carried.append("cap_add")
