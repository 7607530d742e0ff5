"""model.json of an inference container: which files it loads, and how llama-server runs them.

app/inference/settings.py has the same keys. A key with its default is left out, so that a new key
replaces the containers of those models only that use it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.config import llama_options
from components.config.model import Model, ReasoningBudget
from components.config.model_files import AdapterFile, ExtraFile, part_names

MODEL_FILE = "model.json"
CHAT_TEMPLATE_FILE = "chat_template.jinja"


def config_files(name: str, model: Model, *, threads: int, model_hub: str | None) -> dict[str, str]:
    """The files that an inference container with one model reads, by name.

    :param name: of the model in requests.
    :param threads: of the service; the model's own have priority.
    """
    files = {MODEL_FILE: _json(_settings(name, model, threads, model_hub, CHAT_TEMPLATE_FILE))}
    if model.chat_template:
        files[CHAT_TEMPLATE_FILE] = Path(model.chat_template).read_text(encoding="utf-8")
    return files


def router_config_files(
    models: Mapping[str, Model], *, max_loaded: int, threads: int, model_hub: str | None
) -> dict[str, str]:
    """The files that an inference container in router mode reads, by name.

    :param models: by name in requests.
    """
    settings = {
        "max_loaded": max_loaded,
        "models": [
            _settings(name, model, threads, model_hub, f"{name}.jinja")
            for name, model in models.items()
        ],
    }
    templates = {
        f"{name}.jinja": Path(model.chat_template).read_text(encoding="utf-8")
        for name, model in models.items()
        if model.chat_template
    }
    return {MODEL_FILE: _json(settings), **templates}


def _json(settings: Mapping[str, object]) -> str:
    return json.dumps(settings, indent=2, sort_keys=True)


def _settings(
    name: str, model: Model, threads: int, model_hub: str | None, template: str
) -> dict[str, object]:
    """The settings of one model.

    :param template: the name of its chat template's file, if it has one.
    """
    return {
        "name": name,
        "context": model.context,
        "slots": model.slots,
        "files": [_without_defaults(one) for one in _files(model)],
        **_without_defaults(
            {
                "threads": model.threads or threads or None,
                "hub": model_hub if model.from_hub else None,
                "task": model.task if model.task != "chat" else None,
                "pooling": model.pooling,
                "chat_template": template if model.chat_template else None,
                "cache_type": model.cache_type,
                "flash_attention": model.flash_attention,
                "idle_sleep": model.idle_sleep,
                "options": llama_options.arguments(model.options) or None,
                **_reasoning(model),
            }
        ),
    }


def _reasoning(model: Model) -> dict[str, object]:
    if isinstance(model.reasoning, ReasoningBudget):
        return {"reasoning_budget": model.reasoning.budget}
    return {"reasoning": model.reasoning}


def _files(model: Model) -> Iterator[dict[str, object]]:
    """Every file with its role; the parts of a split model in their order."""
    of_model = {"role": "model", "repository": model.repository, "revision": model.revision}
    if model.files:
        for part in sorted(model.files, key=lambda part: part.file):
            yield {**of_model, "file": part.file, "sha256": part.sha256, "size": part.size}
    elif model.file:
        yield {**of_model, "file": model.file, "sha256": model.sha256, "size": model.size}
    else:
        # Of a split model the catalogue has the first part's digest.
        first, *others = part_names(model.container_path or "")
        yield {"role": "model", "path": first, "sha256": model.sha256}
        for path in others:
            yield {"role": "model", "path": path}
    for role, extra in (("projector", model.projector), ("draft", model.draft)):
        if extra:
            yield _extra(role, extra, model)
    for adapter in model.adapters:
        yield {**_extra("adapter", adapter, model), "scale": _scale(adapter)}


def _extra(role: str, extra: ExtraFile, model: Model) -> dict[str, object]:
    if extra.path:
        return {"role": role, "path": extra.path, "sha256": extra.sha256}
    return {
        "role": role,
        "repository": extra.repository or model.repository,
        "revision": extra.revision or model.revision,
        "file": extra.file,
        "sha256": extra.sha256,
        "size": extra.size,
    }


def _scale(adapter: AdapterFile) -> float | None:
    return adapter.scale if adapter.scale != 1 else None


def _without_defaults(settings: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in settings.items() if value is not None}
