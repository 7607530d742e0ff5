"""What a container gets of the machine's own: devices, capabilities, limits, a user."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from components.config.compose.volumes import clean_path
from components.config.field_types import Form
from components.config.schema import StrictModel, refusal

# capabilities(7) without those that give control of the machine.
CAPABILITIES = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK", "KILL", "LEASE"),
        *("MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP"),
        *("SETGID", "SETPCAP", "SETUID", "SYS_CHROOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME"),
        *("SYSLOG", "WAKE_ALARM"),
    )
)
_DEVICE = re.compile(r"(/dev/[^:\s]+)(?::(/dev/[^:\s]+))?(?::([rwm]{1,3}))?")
# Memory and disks: who reads one of these reads all data of the machine.
_DANGEROUS_DEVICE = re.compile(
    r"/dev/(mem|kmem|port|kmsg|sd[a-z]|hd[a-z]|vd[a-z]|xvd[a-z]|nvme|mmcblk|md|nbd|dm-|mapper"
    r"|disk|block|sg\d|bsg|loop|root)"
)
_USER = re.compile(r"image|([a-z_][a-z0-9_-]*|\d{1,10})(:([a-z_][a-z0-9_-]*|\d{1,10}))?")
# As a limit: none.
UNLIMITED = -1
# The user that the image names.
IMAGE_USER = "image"


@dataclass(frozen=True)
class Device:
    """A device of the machine in a container."""

    source: str
    path: str
    permissions: str = "rwm"


class LimitPair(StrictModel):
    """A limit that a process may raise up to the hard one; -1 for none."""

    soft: int = Field(ge=UNLIMITED)
    hard: int = Field(ge=UNLIMITED)

    @model_validator(mode="after")
    def _is_in_order(self) -> LimitPair:
        reached = UNLIMITED in (self.soft, self.hard) and self.hard != UNLIMITED
        if reached or self.soft > self.hard != UNLIMITED:
            raise refusal("has a soft limit above the hard one", allowed="soft: at most hard")
        return self


def _capability(value: Any) -> str:
    name = value.upper().removeprefix("CAP_") if isinstance(value, str) else ""
    if name not in CAPABILITIES:
        raise refusal(
            "is not a capability that a service may have",
            allowed=f"{', '.join(sorted(CAPABILITIES))}; others give control of the machine",
        )
    return name


def _device(value: Any) -> Device:
    if isinstance(value, Device):
        return value
    match = _DEVICE.fullmatch(value) if isinstance(value, str) else None
    source = clean_path(match[1]) if match else ""
    # A folder means all devices in it.
    if match is None or "/.." in match[1] or source == "/dev":
        raise refusal("is not a valid device", allowed="/dev/dri, or /dev/kfd:/dev/kfd:rwm")
    if _DANGEROUS_DEVICE.match(source):
        raise refusal(
            "is the machine's memory or a disk, which no service may have",
            allowed="/dev/dri, /dev/kfd and devices like them",
        )
    return Device(source, clean_path(match[2] or source), match[3] or "rwm")


def _ulimit(value: Any) -> Any:
    return {"soft": value, "hard": value} if type(value) is int else value


def _user(value: str) -> str:
    if not _USER.fullmatch(value):
        raise refusal(
            "is not a valid user", allowed="uid:gid, a name of the image's, or image for its own"
        )
    return value


def _number_as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


Capability = Annotated[
    str, BeforeValidator(_capability), WithJsonSchema({"enum": sorted(CAPABILITIES)})
]
DeviceEntry = Annotated[Device, BeforeValidator(_device), WithJsonSchema({"type": "string"})]
Ulimit = Annotated[LimitPair, BeforeValidator(_ulimit)]
User = Annotated[
    str,
    BeforeValidator(_number_as_text),
    AfterValidator(_user),
    WithJsonSchema({"type": ["string", "integer"]}),
]
Group = Annotated[
    str,
    BeforeValidator(_number_as_text),
    Form(r"([a-z_][a-z0-9_-]*|\d{1,10})", "a valid group", "the name or the number of a group"),
    WithJsonSchema({"type": ["string", "integer"]}),
]


def numeric_user(user: str | None) -> str | None:
    """`uid:gid` or a uid, where a user is given by numbers; None for a name of the image's."""
    return user if user and user.replace(":", "").isdigit() else None
