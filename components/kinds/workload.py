"""What a service's program is told, by kind: environment, configuration files and secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from components.config.catalogue import STATUS_PORT, AnyService, ChatService, ContainerService, InferenceService
from components.images.image_sources import InferenceImage
from components.config.network_access import with_proxy
from components.runtime.orchestrator import CONFIG_DIRECTORY
from components.plan.plan import Plan

MODELS_DIRECTORY = "/models"
# Seconds that running answers may take when their container is replaced or stopped.
DRAIN_SECONDS = 120
# Until Docker kills what has not ended: long enough for an end in order after the time to drain.
STOP_GRACE = DRAIN_SECONDS + 15
# llama-server reads its option --n-gpu-layers from here.
N_GPU_LAYERS = "LLAMA_ARG_N_GPU_LAYERS"


@dataclass(frozen=True)
class Workload:
    """The part of a service that depends on its kind."""

    image: str
    """Name of the image: a folder of app/, and a Dockerfile of docker/."""
    stop_grace: int
    environment: Mapping[str, str] = field(default_factory=dict)
    config_files: Mapping[str, str] = field(default_factory=dict)
    secret_files: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    keeps_models: bool = False
    gpus: str | None = None


def workload(service: AnyService, plan: Plan) -> Workload:
    """Derive a service's workload from the plan."""
    match service:
        case ChatService():
            return _chat(plan)
        case InferenceService():
            return _inference(service, plan)
        case ContainerService():
            return Workload(
                image=service.image,
                stop_grace=service.stop_grace,
                environment=with_proxy(
                    service.environment, plan.network_access.proxy_variables(plan.own_hosts)
                ),
            )


def _chat(plan: Plan) -> Workload:
    gateway = {"models": [*_gateway_models(plan)], "drain_seconds": DRAIN_SECONDS}
    return Workload(
        image="chat",
        stop_grace=STOP_GRACE,
        environment=_network_environment(plan),
        config_files={
            "gateway.json": json.dumps(gateway, indent=2, sort_keys=True),
            **plan.network_access.files,
        },
        secret_files=_present(
            {
                "api_keys.json": plan.secrets.api_keys,
                "gh_models_token": plan.secrets.gh_models_token,
            }
        ),
    )


def _gateway_models(plan: Plan) -> list[dict[str, object]]:
    """Each model once, with every service that answers with it."""
    replicas: dict[str, list[str]] = {}
    for name, service in plan.inference_services.items():
        replicas.setdefault(service.model, []).append(f"http://{name}:{service.port}")
    entries: list[dict[str, object]] = []
    for name, urls in replicas.items():
        loaded_name, loaded = plan.served_model(
            next(s for s in plan.inference_services.values() if s.model == name)
        )
        placeholder = plan.placeholder if loaded_name != name else None
        entries.append(
            {
                "id": name,
                "description": plan.models[name].description,
                "context": loaded.context,
                "slots": loaded.slots,
                "replicas": urls,
                "status_port": STATUS_PORT,
                "placeholder": {"model": placeholder.name, "reason": placeholder.reason}
                if placeholder
                else None,
            }
        )
    return entries


def _inference(service: InferenceService, plan: Plan) -> Workload:
    _, model = plan.served_model(service)
    source = {
        "MODEL_REPOSITORY": model.repository,
        "MODEL_FILE": model.file,
        "MODEL_REVISION": model.revision,
        "MODEL_PATH": model.container_path,
        "MODEL_SHA256": model.sha256,
        "MODEL_SHA256_UNKNOWN": None if model.sha256 else "true",
        "HF_ENDPOINT": plan.settings.model_hub if model.repository else None,
    }
    return Workload(
        image=InferenceImage(cuda=service.gpus is not None, bundled_model=model.bundled).name,
        stop_grace=STOP_GRACE,
        environment={
            "MODEL_NAME": service.model,
            "MODELS_DIR": MODELS_DIRECTORY,
            "CONTEXT_SIZE": str(model.context),
            "SLOTS": str(model.slots),
            "THREADS": str(model.threads or service.threads),
            "PORT": str(service.port),
            "STATUS_PORT": str(STATUS_PORT),
            "DRAIN_SECONDS": str(DRAIN_SECONDS),
            **{key: value for key, value in source.items() if value is not None},
            **_gpu_environment(service, plan),
            **_network_environment(plan),
        },
        config_files=plan.network_access.files,
        secret_files=_present({"hf_token": plan.secrets.hf_token}),
        keeps_models=True,
        gpus=service.gpus,
    )


def _network_environment(plan: Plan) -> dict[str, str]:
    return plan.network_access.environment(plan.own_hosts, CONFIG_DIRECTORY)


def _gpu_environment(service: InferenceService, plan: Plan) -> dict[str, str]:
    """llama-server takes every layer that fits by itself; a number is handed through to it."""
    if service.gpus is None:
        return {}
    layers = {} if service.gpu_layers is None else {N_GPU_LAYERS: str(service.gpu_layers)}
    # A Swarm's services ask for no devices; a node whose runtime is NVIDIA's reads this instead.
    devices = {"NVIDIA_VISIBLE_DEVICES": "all"} if plan.on_swarm else {}
    # Without it that runtime mounts the libraries for nvidia-smi only.
    return {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility", **devices, **layers}


def _present(files: Mapping[str, pulumi.Output[str] | None]) -> dict[str, pulumi.Output[str]]:
    return {name: content for name, content in files.items() if content is not None}
