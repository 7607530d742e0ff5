"""Overhead of the gateway, nginx and LiteLLM proxy: `python -m benchmarks.gateway`.

A fast fake model server (a separate process) streams tokens at the speed of a model; the same
clients read them directly, through the gateway, through nginx if it is installed, and through
LiteLLM proxy, which is installed into a temporary virtual environment. Prints a Markdown table, and
writes a plot and the raw figures to benchmarks/results/. Needs Linux (/proc), and matplotlib
for the plot.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.gateway_targets import ROOT, Target, fake_server, gateway, litellm, nginx

RESULTS = ROOT / "benchmarks" / "results"
STREAMS = (1, 8, 64, 256)


@dataclass(frozen=True)
class Measured:
    """One target at one number of streams."""

    target: str
    streams: int
    first_token_ms: float
    first_token_p99_ms: float
    tokens_per_second: float
    cpu_ms_per_thousand: float
    memory_mib: float
    answers: int
    failures: int


def main() -> None:
    options = _options()
    pace = options.pace
    with contextlib.ExitStack() as stack:
        server = options.server or stack.enter_context(fake_server(1 / pace if pace else 0.0))
        targets = [
            Target("direct", server, None),
            stack.enter_context(gateway(f"http://127.0.0.1:{server}")),
        ]
        if command := shutil.which("nginx"):
            targets.append(stack.enter_context(nginx(server, Path(command))))
        else:
            print("nginx is not installed (Debian: apt-get install nginx-light): left out\n")
        if not options.without_litellm:
            targets.append(stack.enter_context(litellm(server, options.litellm)))
        for target in targets:
            # Warm up: the first requests load modules.
            _load(target, streams=4, tokens=20, seconds=2.0, spread=0.5)
        measured = [
            _measure(target, streams, options) for streams in options.streams for target in targets
        ]
    print(_table(measured, options))
    _keep(measured, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=STREAMS)
    parser.add_argument("--seconds", type=float, default=10.0, help="per target and stream count")
    parser.add_argument("--pace", type=float, default=50.0, help="tokens/s per stream; 0: no limit")
    parser.add_argument(
        "--server", type=int, help="port of a llama-server to use instead of the fake one"
    )
    parser.add_argument("--tokens", type=int, default=100, help="per answer")
    parser.add_argument("--without-litellm", action="store_true")
    parser.add_argument("--litellm", type=Path, help="an installed litellm command")
    return parser.parse_args()


def _measure(target: Target, streams: int, options: argparse.Namespace) -> Measured:
    # Spread the starts of the answers, as in real use.
    spread = options.tokens / options.pace if options.pace else 0.0
    before = _cpu_seconds(target.process)
    result = _load(target, streams, options.tokens, options.seconds, spread)
    used = _cpu_seconds(target.process) - before
    waits = result["first_token_ms"] or [float("nan")]
    return Measured(
        target=target.name,
        streams=streams,
        first_token_ms=median(waits),
        first_token_p99_ms=waits[int(0.99 * (len(waits) - 1))],
        tokens_per_second=result["tokens_per_second"],
        cpu_ms_per_thousand=used * 1e6 / max(1, result["chunks"]),
        memory_mib=_memory_mib(target.process),
        answers=result["answers"],
        failures=result["failures"],
    )


def _load(
    target: Target, streams: int, tokens: int, seconds: float, spread: float
) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.gateway_load", "--port", str(target.port)]
    command += ["--streams", str(streams), "--tokens", str(tokens)]
    command += ["--seconds", str(seconds), "--spread", str(spread)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _family(process: int) -> list[int]:
    """The process and all of its descendants."""
    found = [process]
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text().split():
            found += _family(int(child))
    return found


def _cpu_seconds(process: int | None) -> float:
    if process is None:
        return float("nan")
    nanoseconds = 0
    for member in _family(process):
        for thread in Path(f"/proc/{member}/task").iterdir():
            # The first field of schedstat: the time on a processor, more exact than that of stat.
            nanoseconds += int(thread.joinpath("schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def _memory_mib(process: int | None) -> float:
    if process is None:
        return float("nan")
    kib = 0
    for member in _family(process):
        for line in Path(f"/proc/{member}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                kib += int(line.split()[1])
    return kib / 1024


def _table(measured: Sequence[Measured], options: argparse.Namespace) -> str:
    pace = f"{options.pace:g} tokens/s per stream" if options.pace else "unlimited speed"
    direct = {result.streams: result for result in measured if result.target == "direct"}
    lines = [
        f"{pace}, {options.tokens} tokens per answer, {options.seconds:g} s each; "
        f"{os.cpu_count()} cores shared by clients, gateway and fake server",
        "",
        "| streams | target | first token ms, median (added) | p99 (added) | tokens/s (of direct) "
        "| CPU ms per 1000 chunks | RSS MiB | answers | failures |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for result in measured:
        base = direct[result.streams]
        lines.append(
            f"| {result.streams} | {result.target} "
            f"| {result.first_token_ms:.2f} ({result.first_token_ms - base.first_token_ms:+.2f}) "
            f"| {result.first_token_p99_ms:.2f} "
            f"({result.first_token_p99_ms - base.first_token_p99_ms:+.2f}) "
            f"| {result.tokens_per_second:.0f} "
            f"({100 * result.tokens_per_second / base.tokens_per_second:.1f} %) "
            f"| {result.cpu_ms_per_thousand:.1f} | {result.memory_mib:.0f} "
            f"| {result.answers} | {result.failures} |".replace("nan", "-")
        )
    return "\n".join(lines)


def _keep(measured: Sequence[Measured], options: argparse.Namespace) -> None:
    RESULTS.mkdir(exist_ok=True)
    name = f"gateway-pace-{options.pace:g}"
    raw = json.dumps([asdict(result) for result in measured], indent=1)
    (RESULTS / f"{name}.json").write_text(raw)
    try:
        import matplotlib
    except ModuleNotFoundError:
        print("\n(no plot: matplotlib is not installed)")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = ("first_token_ms", "tokens_per_second", "cpu_ms_per_thousand", "memory_mib")
    titles = (
        "Median time to first token (ms)",
        "Tokens per second, all streams",
        "CPU ms per 1000 chunks",
        "Memory (MiB)",
    )
    figure, axes = pyplot.subplots(1, len(columns), figsize=(18, 4))
    for axis, column, title in zip(axes, columns, titles, strict=True):
        for target in dict.fromkeys(result.target for result in measured):
            points = [
                (result.streams, getattr(result, column))
                for result in measured
                if result.target == target
            ]
            axis.plot(*zip(*points, strict=True), marker="o", label=target)
        axis.set(title=title, xlabel="concurrent streams", xscale="log", yscale="log")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / f"{name}.png", dpi=120)
    print(f"\nPlot and raw figures: {(RESULTS / name).relative_to(ROOT)}.png, .json")


if __name__ == "__main__":
    main()
