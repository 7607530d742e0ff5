"""Health checks, restarts, jobs, and the order of starts."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from toolchain.compose import sizes
from toolchain.compose.commands import CommandRules
from toolchain.compose.forms import is_true
from toolchain.compose.outcome import Outcome
from toolchain.compose.yaml_file import Section

_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")
_TIMES = ("interval", "timeout", "start_period")
_JOB = re.compile(
    r"\b(pull|import|migrate|migration|init|setup|seed|create|bootstrap|mb|mc|download|chown|upgrade)\b"
)
_RUNS_ON = re.compile(r"\b(serve|server|start|exec|wait|tail -f|while|uvicorn|gunicorn|npm run)\b")
_SHELL = re.compile(r"(^|/|\s)(ba|da|a)?sh\s+-\w*c\b")
LONGEST_STOP = 600
# For what downloads a model at its start.
DOWNLOAD_SECONDS = 1800
# The stack waits two minutes for any service.
USUAL_PERIOD = 60


def apply_health_check(service: Section, commands: CommandRules, outcome: Outcome) -> None:
    """`healthcheck`."""
    given = service.get("healthcheck")
    if not isinstance(given, dict) or not given:
        return
    if is_true(given.get("disable")) or given.get("test") == ["NONE"]:
        outcome.carry("healthcheck", {"disable": True})
        return
    found: dict[str, Any] = {}
    if given.get("test"):
        found["test"] = commands.health_check(given["test"], outcome)
    else:
        outcome.lose("healthcheck", "it has no test of its own", "write healthcheck.test")
        return
    plain = commands.variables.plain
    for key in _TIMES:
        if given.get(key) is not None and (duration := _duration(plain(str(given[key])))):
            found[key] = duration
    if given.get("retries") is not None:
        retries = plain(str(given["retries"]))
        found["retries"] = min(100, max(1, int(retries))) if retries.isdigit() else 3
    if "start_interval" in given:
        outcome.change("healthcheck.start_interval", "left out: interval holds from the start")
    outcome.carry("healthcheck", found)


def _duration(text: str) -> str | None:
    """A duration in whole seconds; None for none at all."""
    if re.fullmatch(r"([0-9]{1,4}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?", text) and text:
        return text
    found = sizes.seconds(text)
    return f"{math.ceil(found)}s" if found else None


def is_job(service: Section, command: str, needed_by_end: bool) -> bool:
    """Whether a service ends by itself."""
    if needed_by_end:
        return True
    restart = str(service.get("restart") or "no").partition(":")[0]
    if (
        restart in {"always", "unless-stopped"}
        or service.get("ports")
        or service.get("healthcheck")
    ):
        return False
    if str(service.get("restart") or "") in {"no", "false"}:
        return True
    return bool(
        (_SHELL.search(command) or command.startswith("mc "))
        and _JOB.search(command)
        and not _RUNS_ON.search(command)
    )


def apply_restart(service: Section, job: bool, outcome: Outcome) -> None:
    """`restart`: "no" for a job, and what differs from Compose's default."""
    given = str(service.get("restart") or "")
    kind = given.partition(":")[0]
    if job:
        outcome.entry["restart"] = "no"
        if given in {"no", "false"}:
            outcome.carried.append("restart")
        else:
            outcome.change("restart", '"no": it ends by itself; success is exit code 0')
    elif kind in {"always", "on-failure"}:
        outcome.carry("restart", kind)
        if given != kind:
            outcome.change("restart", f"{kind}, without a limit of attempts")
    elif kind != "unless-stopped":
        outcome.change("restart", "unless-stopped, the stack's default: it runs on")


def apply_start_timeout(service: Section, kind: str | None, command: str, outcome: Outcome) -> None:
    """`start_timeout`, longer than the stack's own where a start takes long."""
    check = outcome.entry.get("healthcheck", {})
    period = sizes.seconds(str(check.get("start_period") or "0s")) or 0
    needed = 0
    if kind or re.search(r"\b(pull|download)\b", command):
        needed = DOWNLOAD_SECONDS
    if period > USUAL_PERIOD:
        needed = max(needed, math.ceil(period) + USUAL_PERIOD)
    if needed > outcome.entry.get("start_timeout", 0):
        outcome.entry["start_timeout"] = needed
        outcome.change("start_timeout", f"{needed} seconds, since a first start may take long")


def apply_stop(service: Section, outcome: Outcome) -> None:
    """`stop_grace_period` and `init`."""
    if given := service.get("stop_grace_period"):
        found = sizes.seconds(given)
        if found:
            outcome.carry("stop_grace", min(LONGEST_STOP, max(1, round(found))))
    if is_true(service.get("init")):
        outcome.carry("init", True)


def needed_by_end(services: Mapping[str, Section]) -> set[str]:
    """Services whose end others wait for."""
    return {
        name
        for service in services.values()
        for name, settings in (service.get("depends_on") or {}).items()
        if settings.get("condition") == "service_completed_successfully"
    }


def apply_dependencies(
    service: Section, names: Mapping[str, str], written: Collection[str], outcome: Outcome
) -> None:
    """`depends_on`, of the services that have an entry.

    :param names: the catalogue's name of each service of the file.
    """
    found: dict[str, str] = {}
    for name, settings in (service.get("depends_on") or {}).items():
        if name not in written:
            outcome.change(f"depends_on {name}", "left out: it is not in the catalogue's file")
            continue
        condition = str(settings.get("condition") or _CONDITIONS[0])
        found[names[name]] = condition if condition in _CONDITIONS else _CONDITIONS[0]
        if settings.get("required") is False:
            outcome.change(f"depends_on {name}", "required: false is left out: both are enabled")
    if not found:
        return
    outcome.carried.append("depends_on")
    if set(found.values()) == {_CONDITIONS[0]}:
        outcome.entry["depends_on"] = list(found)
    else:
        outcome.entry["depends_on"] = {
            name: {"condition": condition} for name, condition in found.items()
        }
