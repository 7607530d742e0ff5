"""Starts llama-server, and in place of this process the small one that lets it drain.

Every option is one that `llama-server --help` of the pinned version lists.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from app.inference.failure import ExitCode, Failure
from app.inference.llama import drain
from app.inference.llama.cgroup import has_whole_machine, memory_limit_bytes, usable_cpus
from app.inference.settings import Settings

ENGINE = Path("/opt/llama/llama-server")

PING_SECONDS = 10
"""Cloudflare cuts a connection that is silent for 100 s; nearer proxies often after 30 s."""
STEP_TOKENS = 512
"""Of prompts in one step, between which `/slots` is answered. llama-server's own 2048 take a
machine that reads 15 tokens a second longer than the two minutes for which the monitor is patient
with silence."""
REUSED_CHUNK_TOKENS = 256
"""Shorter matches in the prompt cache are not worth the shift."""
MAX_PROMPT_CACHE_MIB = 2048
PROMPT_CACHE_SHARE = 10
"""One tenth of the memory limit: the default of 8 GiB would have most containers killed."""
SPARE_HTTP_THREADS = 16
"""Each open request holds a thread; health and metrics must be answered however many wait."""


def command(
    settings: Settings,
    model: Path,
    *,
    cpus: int,
    memory_bytes: int | None,
    whole_machine: bool = False,
) -> list[str]:
    """The command line, for a container with so many CPUs and so much memory (None: no limit).

    :param whole_machine: whether these are all CPUs that the machine has.
    """
    threads = settings.threads or cpus
    cache_mib = MAX_PROMPT_CACHE_MIB
    if memory_bytes is not None:
        cache_mib = min(cache_mib, memory_bytes // PROMPT_CACHE_SHARE // 1024**2)
    return [
        str(ENGINE),
        "--model", str(model),
        "--alias", settings.model_name,
        "--host", "0.0.0.0",
        "--port", str(settings.port),
        "--ctx-size", str(settings.context_size * settings.slots),
        "--parallel", str(settings.slots),
        "--batch-size", str(STEP_TOKENS),
        "--threads", str(threads),
        *(pinned(threads) if whole_machine and threads == cpus else ()),
        "--threads-http", str(settings.slots * 2 + SPARE_HTTP_THREADS),
        "--cache-ram", str(cache_mib),
        "--cache-reuse", str(REUSED_CHUNK_TOKENS),
        "--sse-ping-interval", str(PING_SECONDS),
        "--jinja",
        "--metrics",
        "--slots",
        "--no-ui",
        # Browsers reach models through the gateway only: no origin is a model server's own.
        "--cors-origins", "",
        "--no-cors-credentials",
        "--offline",
        "--log-jsonl",
        "--log-timestamps",
    ]  # fmt: skip


def pinned(threads: int) -> tuple[str, ...]:
    """Options by which each thread stays on a CPU of its own.

    Beside other busy programs the scheduler may put two threads on one CPU, and each then waits for
    the other a thousand times per token. In a container that has less than the machine, other
    containers' threads would be pinned to the same CPUs.
    """
    return ("--cpu-range", f"0-{threads - 1}", "--cpu-strict", "1")


def become_llama_server(
    settings: Settings, model: Path, environment: Mapping[str, str]
) -> NoReturn:
    """Replaces this process, whose libraries take many times the memory of `drain`.

    llama-server's `LLAMA_ARG_*` variables pass through; the options above win over them.
    """
    engine = command(
        settings,
        model,
        cpus=usable_cpus(),
        memory_bytes=memory_limit_bytes(),
        whole_machine=has_whole_machine(),
    )
    numbers = (settings.port, settings.status_port, settings.drain_seconds)
    arguments = [sys.executable, "-IS", drain.__file__, *map(str, numbers), *engine]
    passed_on = {name: value for name, value in environment.items() if not name.startswith("HF_")}
    if not os.access(ENGINE, os.X_OK):
        raise Failure(
            ExitCode.NO_ENGINE,
            f"{ENGINE} cannot be started: it is not there, or no program",
            what_to_do="build the image again; this one is damaged",
        )
    os.execve(sys.executable, arguments, passed_on)
