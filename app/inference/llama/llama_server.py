"""Builds the command line of llama-server, and replaces this process by `drain`, which runs it.

The options are those that `llama-server --help` of the pinned version lists.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from app.inference.failure import ExitCode, StartupError
from app.inference.llama import drain
from app.inference.llama.cgroup import has_all_cpus, memory_limit_bytes, usable_cpus
from app.inference.settings import Settings

LLAMA_SERVER = Path("/opt/llama/llama-server")

PING_SECONDS = 10
"""Cloudflare closes a connection without data after 100 s; other proxies often after 30 s."""
BATCH_TOKENS = 512
"""Prompt tokens per batch; llama-server answers `/slots` between two batches. A batch of 2048, its
default, takes a machine with 15 tokens per second longer than the two minutes after which the
monitor reports a model server without progress."""
REUSED_CHUNK_TOKENS = 256
"""Shorter matches in the prompt cache are not worth shifting."""
MAX_PROMPT_CACHE_MIB = 2048
PROMPT_CACHE_SHARE = 10
"""One tenth of the memory limit: with the default of 8 GiB most containers would be killed."""
SPARE_HTTP_THREADS = 16
"""Each open request occupies a thread; health and metrics need some beside them."""


def command(
    settings: Settings,
    model: Path,
    *,
    cpus: int,
    memory_bytes: int | None,
    all_cpus: bool = False,
) -> list[str]:
    """The command line for a container with these limits (memory None: no limit).

    :param all_cpus: whether these are all CPUs of the machine.
    """
    threads = settings.threads or cpus
    cache_mib = MAX_PROMPT_CACHE_MIB
    if memory_bytes is not None:
        cache_mib = min(cache_mib, memory_bytes // PROMPT_CACHE_SHARE // 1024**2)
    return [
        str(LLAMA_SERVER),
        "--model", str(model),
        "--alias", settings.model_name,
        "--host", "0.0.0.0",
        "--port", str(settings.port),
        "--ctx-size", str(settings.context_size * settings.slots),
        "--parallel", str(settings.slots),
        "--batch-size", str(BATCH_TOKENS),
        "--threads", str(threads),
        *(pinned(threads) if all_cpus and threads == cpus else ()),
        "--threads-http", str(settings.slots * 2 + SPARE_HTTP_THREADS),
        "--cache-ram", str(cache_mib),
        "--cache-reuse", str(REUSED_CHUNK_TOKENS),
        "--sse-ping-interval", str(PING_SECONDS),
        "--jinja",
        "--metrics",
        "--slots",
        "--no-ui",
        # Browsers reach models only through the gateway, so allow no origin.
        "--cors-origins", "",
        "--no-cors-credentials",
        "--offline",
        "--log-jsonl",
        "--log-timestamps",
    ]  # fmt: skip


def pinned(threads: int) -> tuple[str, ...]:
    """Options that pin each thread to its own CPU.

    When other programs are busy, the scheduler may put two threads on one CPU, and each then waits
    for the other a thousand times per token. A container with only some of the CPUs must not pin:
    other containers would pin their threads to the same CPUs.
    """
    return ("--cpu-range", f"0-{threads - 1}", "--cpu-strict", "1")


def become_llama_server(
    settings: Settings, model: Path, environment: Mapping[str, str]
) -> NoReturn:
    """Replace this process by `drain`, which needs much less memory; raises StartupError.

    llama-server's `LLAMA_ARG_*` variables pass through; the options above override them.
    """
    llama_server = command(
        settings,
        model,
        cpus=usable_cpus(),
        memory_bytes=memory_limit_bytes(),
        all_cpus=has_all_cpus(),
    )
    numbers = (settings.port, settings.status_port, settings.drain_seconds)
    arguments = [sys.executable, "-IS", drain.__file__, *map(str, numbers), *llama_server]
    passed_on = {name: value for name, value in environment.items() if not name.startswith("HF_")}
    if not os.access(LLAMA_SERVER, os.X_OK):
        raise StartupError(
            ExitCode.CANNOT_START,
            f"{LLAMA_SERVER} does not exist or is not executable",
            what_to_do="build the image again: this one is damaged",
        )
    os.execve(sys.executable, arguments, passed_on)
