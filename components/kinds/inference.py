"""Kind `inference`: llama-server with one model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from components.config.field_types import MEBIBYTE, Gpus, ModelName, Port
from components.config.model import Model
from components.config.problems import Problem, Source, choices
from components.config.schema import refusal
from components.images.image_sources import InferenceImage
from components.kinds.model_config import config_files
from components.kinds.service import Expect, LocalService, Stack, Upstream
from components.kinds.workload import DRAIN_SECONDS, STOP_GRACE, Workload, present

# Where every inference container reports whether it is draining.
STATUS_PORT = 8001
MODELS_DIRECTORY = "/models"
# What llama-server needs beside the weights that it maps: buffers, bookkeeping, itself.
MODEL_OVERHEAD = 256 * MEBIBYTE
# llama-server reads its option --n-gpu-layers from here.
N_GPU_LAYERS = "LLAMA_ARG_N_GPU_LAYERS"


class InferenceService(LocalService):
    """llama-server, which loads one model of the catalogue at its start."""

    kind: Literal["inference"] = "inference"
    port: Port = 8000
    model: ModelName
    threads: int = Field(default=0, ge=0, le=256, description="0 takes what `cpus` allows")
    gpus: Gpus | None = Field(default=None, description="then the CUDA engine runs it")
    gpu_layers: int | None = Field(
        default=None, ge=0, le=999, description="of the model on the GPU; None for all that fit"
    )
    start_timeout: int = Field(default=1800, ge=1)

    @field_validator("expect")
    @classmethod
    def _only_its_time_counts(cls, expect: Expect | None) -> Expect | None:
        if expect and expect.model_fields_set != {"max_seconds"}:
            raise refusal("has a condition that a model cannot meet", allowed="max_seconds alone")
        return expect

    @field_validator("port")
    @classmethod
    def _is_not_the_status_port(cls, port: int) -> int:
        if port == STATUS_PORT:
            raise refusal("is the container's status port", allowed="any other port")
        return port

    @model_validator(mode="after")
    def _layers_need_a_gpu(self) -> InferenceService:
        if self.gpu_layers is not None and self.gpus is None:
            raise refusal(
                f"has gpu_layers: {self.gpu_layers} but no GPU",
                allowed="gpu_layers with gpus: all, or a number of them",
            )
        return self

    def workload(self, stack: Stack) -> Workload:
        model = self._loaded(stack)
        return Workload(
            image=InferenceImage(cuda=self.gpus is not None, bundled_model=model.bundled).name,
            stop_grace=STOP_GRACE,
            environment={
                "PORT": str(self.port),
                "STATUS_PORT": str(STATUS_PORT),
                "DRAIN_SECONDS": str(DRAIN_SECONDS),
                **self._gpu_environment(stack.on_swarm),
                **stack.network_environment,
            },
            config_files={
                **config_files(
                    self.model,
                    model,
                    threads=self.threads,
                    model_hub=stack.settings.model_hub,
                ),
                **stack.settings.network_access.files,
            },
            secret_files=present({"hf_token": stack.secrets.hf_token}),
            model_directory=MODELS_DIRECTORY,
            gpus=self.gpus,
        )

    def _loaded(self, stack: Stack) -> Model:
        """The model that its container loads, for the task of the one that the service names."""
        model, placeholder = stack.loaded_model(self.model)
        return model.for_placeholder(stack.models[self.model]) if placeholder else model

    def _gpu_environment(self, on_swarm: bool) -> dict[str, str]:
        """llama-server puts every layer that fits on the GPU; a number is passed on to it."""
        if self.gpus is None:
            return {}
        layers = {} if self.gpu_layers is None else {N_GPU_LAYERS: str(self.gpu_layers)}
        # Swarm services cannot ask for devices; a node with NVIDIA's runtime reads this instead.
        devices = {"NVIDIA_VISIBLE_DEVICES": "all"} if on_swarm else {}
        # Without it that runtime mounts the libraries for nvidia-smi only.
        return {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility", **devices, **layers}

    def health_check(self, host: str) -> dict[str, object]:
        return {"kind": "inference", "url": f"http://{host}:{self.port}"}

    def check_options(self, stack: Stack) -> dict[str, object]:
        """A one-token test needs a model that generates text; one that gives its memory back when
        idle is left asleep."""
        model = self._loaded(stack)
        if model.idle_sleep is not None:
            return {"sleeps": True}
        return {} if model.task == "chat" else {"generates": False}

    def upstream(self, name: str, stack: Stack) -> Upstream:
        loaded, placeholder = stack.loaded_model(self.model)
        return Upstream(
            model=self.model,
            url=f"http://{name}:{self.port}",
            loaded=loaded,
            placeholder=placeholder,
            description=stack.models[self.model].description,
            status_port=STATUS_PORT,
            task=stack.models[self.model].task,
        )

    def problems(
        self, name: str, models: Mapping[str, Model | None], source: Source
    ) -> Iterator[Problem]:
        if self.model not in models:
            yield source.problem(
                ("services", name, "model"),
                "is not a model of the catalogue",
                found=self.model,
                allowed=choices(self.model, models),
            )
        elif model := models[self.model]:
            needed = model.known_size + MODEL_OVERHEAD
            if needed > self.memory:
                yield source.problem(
                    ("services", name, "memory"),
                    f"cannot hold the model {self.model!r}",
                    found=f"{self.memory // MEBIBYTE}MiB",
                    allowed=f"allowed: at least {needed // MEBIBYTE + 1}MiB",
                )
