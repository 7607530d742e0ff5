"""What a stack does about faults: `python -m benchmarks.chaos [--only WORD …]`.

A stack with the project's own images, on an engine of its own and with the default intervals; a
client that sends ten requests a second to two models; the status page; and a webhook. For each
fault: after how many seconds the monitor reports it and it is repaired, what repairs it, which
requests are lost, and what the status page and the alerts show. "Other model": requests to the
model that the fault does not concern. Prints a Markdown table and removes all that it made. Needs
root, `. toolchain/activate`, and for a clock that is set (of the monitor and the restarter alone)
libfaketime.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.chaos.faults import FAULTS, Scene
from benchmarks.chaos.observer import Observer
from benchmarks.chaos.stack import running_stack

HEADER = """\
| fault | detected | repaired | by | lost requests | other model | status page | alerts |
|---|---:|---:|---|---:|---:|---|---|"""
# Longer than the monitor's alerts wait for others.
ALERT_SECONDS = 8.0


@dataclass(frozen=True)
class Row:
    """One fault of the table."""

    fault: str
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return f"| {' | '.join((self.fault, *self.cells))} |"


def measure(name: str, scene: Scene) -> Row:
    """Make a fault, wait for the end of its effects, and describe both."""
    observer = scene.observer
    try:
        observer.wait_until_quiet()
        FAULTS[name](scene)
        observer.wait_until_quiet()
    # The other faults are measured all the same; a command of Pulumi fails as a test does.
    except (Exception, pytest.fail.Exception) as error:
        scene.notes.append(f"FAILED: {error}")
    time.sleep(ALERT_SECONDS)
    ended = scene.ended or time.time()
    lost = observer.lost(scene.began, ended)
    sent = observer.sent(scene.began, ended)
    print(f"{name}: {sent} requests sent, lost: {[(a.model, a.problem) for a in lost][:5]}")
    seen = [one for one in observer.seen if one.at >= scene.began]
    for one in seen:
        print(f"  {one.at - scene.began:6.1f} s {one.service} {one.state}: {one.reason} {one.held}")
    served = max((one.asked + one.seconds for one in lost if one.model == "mini"), default=None)
    return Row(
        name,
        (
            after(scene.began, scene.detected),
            after(scene.began, scene.repaired or served),
            scene.repaired_by,
            str(sum(one.model == "mini" for one in lost)),
            str(sum(one.model != "mini" for one in lost)),
            "; ".join(filter(None, [page(scene), *scene.notes])),
            ", ".join(f"{service} {event}" for service, event in observer.alerts_since(scene.began))
            or "none",
        ),
    )


def after(began: float, then: float | None) -> str:
    return "-" if then is None else f"{then - began:.0f} s"


def page(scene: Scene) -> str:
    """The states of the service after the fault, with the reason of the first."""
    mine = [
        one for one in scene.observer.seen if one.service == scene.service and one.at > scene.began
    ]
    states = list(dict.fromkeys(one.state for one in mine))
    failed = next((one for one in mine if not one.works), None)
    text = ", ".join(states) + (f" ({failed.reason})" if failed else "")
    away = sum(end - max(begin, scene.began) for begin, end in away_of(scene))
    return text + (f"; does not answer for {away:.0f} s" if away else "")


def away_of(scene: Scene) -> list[tuple[float, float]]:
    """When the status page did not answer, since the fault."""
    return [one for one in scene.observer.away if one[1] > scene.began]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="words of the faults to measure")
    parser.add_argument("--interval", type=int, default=30, help="of the monitor, in seconds")
    parser.add_argument("--faketime", type=Path, help="libfaketime.so.1")
    parser.add_argument("--live-restore", action="store_true", help="run the engine with it")
    options = parser.parse_args()
    engine = ("--live-restore",) if options.live_restore else ()
    names = [
        name
        for name in FAULTS
        if (options.faketime or not name.startswith("clock"))
        and (not options.only or any(word in name for word in options.only))
    ]
    observer, rows = Observer(), []
    with (
        tempfile.TemporaryDirectory(prefix="llm-stack-chaos-") as folder,
        running_stack(Path(folder), options.interval, options.faketime, engine) as stack,
        observer.running(),
    ):
        for name in names:
            rows.append(measure(name, Scene(stack, observer)))
            print(f"{rows[-1]}\n", flush=True)
    print("\n".join([HEADER, *map(str, rows)]))


if __name__ == "__main__":
    main()
