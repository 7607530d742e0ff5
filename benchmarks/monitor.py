"""CPU time and memory of a monitor of many services: `python -m benchmarks.monitor`

The monitor runs in its own process, against a server in another process that responds for all
services, each on its own port: as in a stack, no check can reuse the connection or the resolved
name of another service. CPU time and memory are those of the monitor's process, from /proc, after
every service was checked once. Prints one row for each mix of services.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
SLOT = {
    "id": 0,
    "is_processing": False,
    "id_task": 7,
    "n_prompt_tokens_processed": 40,
    "params": {f"parameter_{number}": number / 7 for number in range(60)},
    "next_token": [{"n_decoded": 12}],
}
RESPONSES: dict[str, Any] = {
    "/health": {"status": "ok"},
    "/ready": {"status": 200, "readyConnections": 4},
    "/slots": [SLOT, SLOT],
    "/completion": {"content": "a"},
}
BODIES = {path: json.dumps(response).encode() for path, response in RESPONSES.items()}
METRICS = "".join(f"llamacpp:some_counter_{number}_total {number}\n" for number in range(15))


@dataclass(frozen=True)
class Mix:
    """A mix of services: a name, and the kinds in turn."""

    name: str
    kinds: tuple[str, ...]


MIXES = (
    Mix("http", ("http",)),
    Mix("inference", ("inference",)),
    Mix("chat, inference, connector", ("chat", "inference", "connector")),
    Mix("all failing (refused)", ("refused",)),
)


async def _serve(ports: range) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                path = line.split()[1].decode()
                length = 0
                while (header := await reader.readline()).strip():
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                await reader.readexactly(length)
                body = BODIES.get(path, METRICS.encode())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    for port in ports:
        await asyncio.start_server(handle, "127.0.0.1", port)
    await asyncio.Event().wait()


def _respond_for_all(ports: range) -> None:
    asyncio.run(_serve(ports))


def _config(mix: Mix, count: int, interval: int, port: int, state: str) -> dict[str, Any]:
    services = []
    for number in range(count):
        kind = mix.kinds[number % len(mix.kinds)]
        url = f"http://localhost:{1 if kind == 'refused' else port + 1 + number}"
        kind = "http" if kind == "refused" else kind
        url += "/health" if kind == "http" else ""
        services.append({"name": f"service-{number}", "kind": kind, "url": url, "start_grace": 0})
    return {
        "stack": "benchmark",
        "interval": interval,
        "services": services,
        "restarts": {"enabled": False},
        "internal": {
            "host": "127.0.0.1",
            "port": port,
            "state_dir": state,
            "admin_socket": f"{state}/admin.sock",
        },
    }


@contextmanager
def _monitor(config: dict[str, Any], folder: Path) -> Iterator[int]:
    path = folder / "monitor.json"
    path.write_text(json.dumps(config))
    process = subprocess.Popen(
        [sys.executable, "-m", "app.monitor"],
        cwd=ROOT,
        env={**os.environ, "MONITOR_CONFIG": str(path)},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def _checks(port: int) -> int:
    """Checks done so far; 0 while the monitor does not respond yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as response:
            checks: int = json.load(response)["checks"]
            return checks
    except OSError:
        return 0


def measure(mix: Mix, options: argparse.Namespace, port: int) -> str:
    """Run a mix; returns its row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        config = _config(mix, options.services, options.interval, port, folder)
        with _monitor(config, Path(folder)) as pid:
            # The first checks are faster, and include a one-token test of each model.
            settled = time.monotonic() + max(15.0, options.interval * options.settle)
            while _checks(port) < options.services or time.monotonic() < settled:
                time.sleep(0.5)
            cpu, checks, begun = _cpu_seconds(pid), _checks(port), time.monotonic()
            time.sleep(options.seconds)
            cpu, checks = _cpu_seconds(pid) - cpu, _checks(port) - checks
            passed = time.monotonic() - begun
            share, each = 100 * cpu / passed, 1000 * cpu / max(1, checks)
            return (
                f"{mix.name:<32} {checks / passed:>9.1f} {each:>9.2f} {share:>9.2f}"
                f" {_resident_mib(pid):>8.1f}"
            )


def main() -> None:
    """Measure every mix."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--interval", type=int, default=30, help="seconds")
    parser.add_argument("--seconds", type=float, default=60.0, help="measured, after settling")
    parser.add_argument("--settle", type=float, default=1.5, help="intervals before measuring")
    options = parser.parse_args()
    port = 20_000 + os.getpid() % 10_000
    ports = range(port + 1, port + 1 + options.services)
    server = multiprocessing.Process(target=_respond_for_all, args=(ports,), daemon=True)
    server.start()
    print(f"{options.services} services, each every {options.interval:g} s")
    print(f"{'services':<32} {'checks/s':>9} {'ms/check':>9} {'% core':>9} {'RSS MiB':>8}")
    for mix in MIXES:
        print(measure(mix, options, port), flush=True)
    server.terminate()


if __name__ == "__main__":
    main()
