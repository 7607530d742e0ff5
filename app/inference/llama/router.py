"""Runs llama-server in router mode: several models in one container, of which some are loaded.

The router starts one more llama-server for each loaded model. A request for a model that is not
loaded waits until it is; for it the router unloads the least recently used model without requests.
The children read the options of their model from a preset file, and those of the command line.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from app.inference.llama.cgroup import has_all_cpus, memory_limit_bytes, usable_cpus
from app.inference.llama.llama_server import (
    LLAMA_SERVER,
    model_options,
    run_drained,
    server_options,
)
from app.inference.model.model import ReadyFiles
from app.inference.settings import ModelSettings, Settings

PRESET = Path("/tmp/models.ini")
"""On the container's tmpfs, since the rest of its file system is read-only."""
NO_DOWNLOADS = {"LLAMA_ARG_OFFLINE": "1"}
"""`POST /models` starts a child that downloads any model; it has no options of the command line."""
CHILD_STOP_SECONDS = 3
"""The router unloads idle models only, which exit at once."""


def become_router(
    settings: Settings,
    max_loaded: int,
    models: Sequence[tuple[ModelSettings, ReadyFiles]],
    environment: Mapping[str, str],
) -> NoReturn:
    """Replace this process by a router for these models; raises StartupError."""
    memory = memory_limit_bytes()
    preset = preset_file(
        models,
        cpus=usable_cpus(),
        # Each loaded model has its share.
        memory_bytes=memory // max_loaded if memory else None,
        all_cpus=has_all_cpus() and max_loaded == 1,
        config_directory=settings.config_directory,
    )
    PRESET.write_text(preset, encoding="utf-8")
    requests = sum(model.slots for model, _ in models)
    command = router_command(settings.port, PRESET, max_loaded, requests)
    run_drained(settings, command, {**environment, **NO_DOWNLOADS})


def router_command(port: int, preset: Path, max_loaded: int, requests: int) -> list[str]:
    """The command line of the router."""
    return [
        str(LLAMA_SERVER),
        "--models-preset", str(preset),
        "--models-max", str(max_loaded),
        *server_options(port, requests=requests),
    ]  # fmt: skip


def preset_file(
    models: Sequence[tuple[ModelSettings, ReadyFiles]],
    *,
    cpus: int,
    memory_bytes: int | None,
    all_cpus: bool,
    config_directory: Path,
) -> str:
    """The options of each model in llama-server's INI format."""
    lines = ["version = 1"]
    for model, files in models:
        options = model_options(
            model,
            files,
            cpus=cpus,
            memory_bytes=memory_bytes,
            all_cpus=all_cpus,
            config_directory=config_directory,
        )
        lines += ["", f"[{model.name}]", f"stop-timeout = {CHILD_STOP_SECONDS}"]
        lines += [f"{key} = {value}" for key, value in _keys(options)]
    return "\n".join([*lines, ""])


def _keys(options: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each option without its dashes, and its value; that of a flag is `true`.

    No value of ours starts with two dashes.
    """
    for position, option in enumerate(options):
        if not option.startswith("--"):
            continue
        following = options[position + 1 : position + 2]
        value = following[0] if following and not following[0].startswith("--") else "true"
        yield option.removeprefix("--"), value
