"""Builds the command line of llama-server, and replaces this process by `drain`, which runs it.

The options are those that `llama-server --help` of the pinned version lists.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from app.inference.failure import ExitCode, StartupError
from app.inference.llama import drain
from app.inference.llama.cgroup import has_all_cpus, memory_limit_bytes, usable_cpus
from app.inference.model.model import ReadyFiles
from app.inference.settings import DEFAULT_CONFIG, ModelSettings, Settings, Task

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
SPECULATION_TYPE = "--spec-type"
SPARE_HTTP_THREADS = 16
"""Each open request occupies a thread; health and metrics need some beside them."""


def command(
    port: int,
    model: ModelSettings,
    files: ReadyFiles,
    *,
    cpus: int,
    memory_bytes: int | None,
    all_cpus: bool = False,
    config_directory: Path = DEFAULT_CONFIG.parent,
) -> list[str]:
    """The command line for a container with these limits (memory None: no limit).

    :param all_cpus: whether these are all CPUs of the machine.
    :param config_directory: where the chat template is.
    """
    own = model_options(
        model,
        files,
        cpus=cpus,
        memory_bytes=memory_bytes,
        all_cpus=all_cpus,
        config_directory=config_directory,
    )
    return [
        str(LLAMA_SERVER),
        "--alias", model.name,
        *server_options(port, requests=model.slots),
        *own,
    ]  # fmt: skip


def server_options(port: int, *, requests: int) -> list[str]:
    """Options of every llama-server.

    :param requests: that it works on at once.
    """
    return [
        "--host", "0.0.0.0",
        "--port", str(port),
        "--threads-http", str(requests * 2 + SPARE_HTTP_THREADS),
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


def model_options(
    model: ModelSettings,
    files: ReadyFiles,
    *,
    cpus: int,
    memory_bytes: int | None,
    all_cpus: bool = False,
    config_directory: Path = DEFAULT_CONFIG.parent,
) -> list[str]:
    """Options that differ between models; the parameters are those of `command`."""
    threads = model.threads or cpus
    cache_mib = MAX_PROMPT_CACHE_MIB
    if memory_bytes is not None:
        cache_mib = min(cache_mib, memory_bytes // PROMPT_CACHE_SHARE // 1024**2)
    return [
        "--model", str(files.model),
        "--ctx-size", str(model.context * model.slots),
        "--parallel", str(model.slots),
        *_task_options(model),
        "--threads", str(threads),
        *(pinned(threads) if all_cpus and threads == cpus else ()),
        "--cache-ram", str(cache_mib),
        *_file_options(model, files),
        *_chosen_options(model, config_directory),
        # Last: of an option that is given twice, llama-server takes the last value.
        *model.options,
    ]  # fmt: skip


def _task_options(model: ModelSettings) -> list[str]:
    if model.task is Task.CHAT:
        return ["--batch-size", str(BATCH_TOKENS)]
    # llama-server computes the embedding of a text in one step. It refuses a text with more tokens
    # than --ubatch-size, which is --batch-size at most.
    tokens = str(model.context)
    options = ["--batch-size", tokens, "--ubatch-size", tokens]
    if model.task is Task.RERANK:
        # It implies --embeddings and --pooling rank.
        return [*options, "--rerank"]
    pooling = ["--pooling", model.pooling] if model.pooling else []
    return [*options, "--embeddings", *pooling]


def _file_options(model: ModelSettings, files: ReadyFiles) -> list[str]:
    """Options for the files beside the model."""
    options: list[str] = []
    if files.projector:
        options += ["--mmproj", str(files.projector)]
    if any(adapter.scale != 1 for adapter in files.adapters):
        scaled = (f"{adapter.path}:{adapter.scale:g}" for adapter in files.adapters)
        options += ["--lora-scaled", ",".join(scaled)]
    elif files.adapters:
        options += ["--lora", ",".join(str(adapter.path) for adapter in files.adapters)]
    if files.draft:
        options += ["--spec-draft-model", str(files.draft)]
        # Without a type llama-server loads the draft model, and does not use it.
        if SPECULATION_TYPE not in model.options:
            options += [SPECULATION_TYPE, "draft-simple"]
    return options


def _chosen_options(model: ModelSettings, config_directory: Path) -> list[str]:
    """Options that llama-server has defaults for."""
    template = config_directory / model.chat_template if model.chat_template else None
    chosen: dict[str, object] = {
        "--chat-template-file": template,
        "--reasoning": model.reasoning,
        "--reasoning-budget": model.reasoning_budget,
        "--cache-type-k": model.cache_type,
        "--cache-type-v": model.cache_type,
        "--flash-attn": model.flash_attention,
        "--sleep-idle-seconds": model.idle_sleep,
    }
    given = ((name, str(value)) for name, value in chosen.items() if value is not None)
    return [argument for pair in given for argument in pair]


def pinned(threads: int) -> tuple[str, ...]:
    """Options that pin each thread to its own CPU.

    When other programs are busy, the scheduler may put two threads on one CPU, and each then waits
    for the other a thousand times per token. A container with only some of the CPUs must not pin:
    other containers would pin their threads to the same CPUs.
    """
    return ("--cpu-range", f"0-{threads - 1}", "--cpu-strict", "1")


def become_llama_server(
    settings: Settings, model: ModelSettings, files: ReadyFiles, environment: Mapping[str, str]
) -> NoReturn:
    """Replace this process by `drain`, which needs much less memory; raises StartupError.

    llama-server's `LLAMA_ARG_*` variables pass through; the options above override them.
    """
    llama_server = command(
        settings.port,
        model,
        files,
        cpus=usable_cpus(),
        memory_bytes=memory_limit_bytes(),
        all_cpus=has_all_cpus(),
        config_directory=settings.config_directory,
    )
    run_drained(settings, llama_server, environment)


def run_drained(
    settings: Settings, llama_server: Sequence[str], environment: Mapping[str, str]
) -> NoReturn:
    """Replace this process by `drain` with this command line; raises StartupError."""
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
