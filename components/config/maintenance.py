"""Maintenance windows of a stack's monitor: settings under `llm-stack:monitor.maintenance`."""

from __future__ import annotations

import datetime
import re
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from components.config.field_types import Name
from components.config.schema import CamelModel, refusal

_DURATION = re.compile(r"([1-9][0-9]{0,3})([mh])")
_SECONDS = {"m": 60, "h": 3600}
LONGEST = 72 * 3600


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


def _start(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise refusal("is not a valid time of day", allowed="hours and minutes, such as '03:00'")
    return value


def _day(value: object) -> object:
    try:
        # Pulumi passes a date without quotes on as a time.
        text = value.removesuffix(" 00:00:00 +0000 UTC") if isinstance(value, str) else ""
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise refusal("is not a valid date", allowed="a day such as '2027-01-31'") from None


def _seconds(value: object) -> int:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= LONGEST:
        raise refusal(
            "is not a valid duration",
            allowed="a whole number with m or h, at most 72h, such as 90m or 2h",
        )
    return seconds


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise refusal(
            "is not a time zone", allowed="a name of the IANA database, such as Europe/Berlin"
        ) from None
    return name


TimeOfDay = Annotated[
    datetime.time,
    BeforeValidator(_start),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}),
]
Seconds = Annotated[
    int,
    BeforeValidator(_seconds),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$"}),
]


class MaintenanceWindow(CamelModel):
    """Regular or single times without alerts and restarts of services. Checks go on."""

    services: tuple[Name, ...] = Field(default=(), description="all of the stack if empty")
    days: tuple[Weekday, ...] = Field(default=(), description="every day if empty")
    date: Annotated[datetime.date, BeforeValidator(_day)] | None = Field(
        default=None, description="once, on this day, instead of days"
    )
    start: TimeOfDay = Field(description="in the time zone")
    duration: Seconds
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"

    @model_validator(mode="after")
    def _days_or_date(self) -> MaintenanceWindow:
        if self.days and self.date:
            raise refusal("has both days and date", allowed="one of the two")
        return self

    def config(self, services: tuple[str, ...]) -> dict[str, Any]:
        """As monitor.json has it.

        :param services: names on the network of its services.
        """
        set_keys = self.model_dump(mode="json", exclude_unset=True, exclude={"services"})
        return {**set_keys, **({"services": list(services)} if services else {})}
