"""User, root file system and capabilities: the stack's defaults, and what images need."""

from __future__ import annotations

import re

from toolchain.compose.catalogue_entries import CatalogueEntries
from toolchain.compose.known_images import repository
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


def apply_hardening(service: Section, catalogue: CatalogueEntries, outcome: Outcome) -> None:
    """`user`, `read_only`, `cap_add` and `tmpfs`, as the image needs them."""
    image = service.get("image")
    known = catalogue.images.get(repository(image)) if image else None
    if known and "build" not in outcome.entry:
        name, settings = known
        for key, value in settings.items():
            if key == "tmpfs":
                _add_tmpfs(outcome, value)
            else:
                outcome.entry.setdefault(key, value)
        found = ", ".join(settings) or "the stack's defaults"
        outcome.change("hardening", f"as the catalogue's {name}, which has the same image: {found}")
    else:
        outcome.entry |= {"user": "image", "read_only": False, "cap_add": list(ROOT_ENTRYPOINT)}
        outcome.change(
            "hardening",
            "loosened, since the image is not in the catalogue: its own user, a writable root and "
            "the capabilities of an entrypoint that starts as root. To tighten it, remove cap_add, "
            "then set read_only: true with a tmpfs for what it writes, then user: 10001:10001, and "
            "start it after each step",
        )
    _apply_own(service, outcome)


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
    if read_only in {True, "true"}:
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
