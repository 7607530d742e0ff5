"""Kind `inference`: llama-server with one model, or with several of which some are loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from components.config.compose.volumes import HostPath, VolumeEntry, VolumeMount
from components.config.field_types import Gpus, ModelName, Port
from components.config.memory_estimate import Estimate, memory_problem, model_memory
from components.config.model import Model
from components.config.problems import Problem, Source, choices
from components.config.schema import refusal
from components.images.image_sources import InferenceImage
from components.kinds.model_config import config_files, router_config_files
from components.kinds.service import Expect, LocalService, Router, Stack, Upstream
from components.kinds.workload import DRAIN_SECONDS, STOP_GRACE, Workload, present

# Where every inference container reports whether it is draining.
STATUS_PORT = 8001
MODELS_DIRECTORY = "/models"
# Where the driver keeps what it has compiled for a GPU whose code the image does not have (CUDA C
# Programming Guide, "CUDA Environment Variables").
CUDA_CACHE_DIRECTORY = "/var/cache/cuda"
# llama-server reads its option --n-gpu-layers from here.
N_GPU_LAYERS = "LLAMA_ARG_N_GPU_LAYERS"
# They begin a comment anywhere in a line.
_INI_COMMENTS = {";", "#"}


class InferenceService(LocalService):
    """llama-server, which loads one model of the catalogue at its start, or several on demand."""

    kind: Literal["inference"] = "inference"
    port: Port = 8000
    model: ModelName | None = None
    models: tuple[ModelName, ...] = Field(
        default=(), max_length=32, description="in place of model: each is loaded on demand"
    )
    max_loaded: int | None = Field(
        default=None, ge=1, le=32, description="of models, in memory at once; 1 by default"
    )
    volumes: tuple[VolumeEntry, ...] = Field(
        default=(), description="folders of the machine with model files, for their `path`"
    )
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

    @field_validator("volumes")
    @classmethod
    def _are_read_only_folders(cls, volumes: tuple[VolumeMount, ...]) -> tuple[VolumeMount, ...]:
        for one in volumes:
            if not isinstance(one, HostPath) or not one.read_only:
                raise refusal(
                    "has an entry that is not a folder of the machine to read",
                    allowed="'/srv/models:/srv/models'",
                )
            if one.path in (MODELS_DIRECTORY, CUDA_CACHE_DIRECTORY):
                raise refusal(
                    f"has the path {one.path}, which the container has already",
                    allowed="another path, such as that of the folder itself",
                )
        return volumes

    @model_validator(mode="after")
    def _layers_need_a_gpu(self) -> InferenceService:
        if self.gpu_layers is not None and self.gpus is None:
            raise refusal(
                f"has gpu_layers: {self.gpu_layers} but no GPU",
                allowed="gpu_layers with gpus: all, or a number of them",
            )
        return self

    @model_validator(mode="after")
    def _model_or_models(self) -> InferenceService:
        if bool(self.model) == bool(self.models):
            raise refusal("does not have one of model and models", allowed="one of the two")
        if len(set(self.models)) != len(self.models):
            raise refusal("lists a model twice in models", allowed="each model once")
        if self.max_loaded is not None and not self.models:
            raise refusal("has max_loaded without models", allowed="max_loaded with models")
        if self.max_loaded is not None and self.max_loaded > len(self.models):
            raise refusal(
                f"has max_loaded: {self.max_loaded} for fewer models",
                allowed=f"at most {len(self.models)}, the number of its models",
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Of its models."""
        return self.models or (self.model or "",)

    @property
    def _most_loaded(self) -> int:
        """Models in memory at once."""
        return self.max_loaded or 1

    def workload(self, name: str, stack: Stack) -> Workload:
        models = {name: self._loaded(name, stack) for name in self.names}
        # All of them have the same, or none.
        bundled = next(iter(models.values())).bundled
        return Workload(
            image=InferenceImage(cuda=self.gpus is not None, bundled_model=bundled).name,
            stop_grace=STOP_GRACE,
            environment={
                "PORT": str(self.port),
                "STATUS_PORT": str(STATUS_PORT),
                "DRAIN_SECONDS": str(DRAIN_SECONDS),
                **self._gpu_environment(stack.on_swarm),
                **stack.network_environment,
            },
            config_files={
                **self._config_files(models, stack.settings.model_hub),
                **stack.settings.network_access.files,
            },
            secret_files=present({"hf_token": stack.secrets.hf_token}),
            model_directory=MODELS_DIRECTORY,
            # Each node of a Swarm has its own volume, which its own container fills.
            fetches=any(one.from_hub for one in models.values()) and not stack.on_swarm,
            host_paths=[one for one in self.volumes if isinstance(one, HostPath)],
            # A Swarm's volumes belong to root, where the image does not have their path.
            cache_directory=CUDA_CACHE_DIRECTORY if self.gpus and not stack.on_swarm else None,
            gpus=self.gpus,
        )

    def _config_files(self, models: Mapping[str, Model], model_hub: str | None) -> dict[str, str]:
        if self.models:
            return router_config_files(
                models,
                max_loaded=self._most_loaded,
                threads=self.threads,
                model_hub=model_hub,
            )
        [(name, model)] = models.items()
        return config_files(name, model, threads=self.threads, model_hub=model_hub)

    def _loaded(self, name: str, stack: Stack) -> Model:
        """What its container loads for a model of the catalogue: it, or a placeholder."""
        model, placeholder = stack.loaded_model(name)
        return model.for_placeholder(stack.models[name]) if placeholder else model

    def _gpu_environment(self, on_swarm: bool) -> dict[str, str]:
        """llama-server puts every layer that fits on the GPU; a number is passed on to it."""
        if self.gpus is None:
            return {}
        layers = {} if self.gpu_layers is None else {N_GPU_LAYERS: str(self.gpu_layers)}
        # Swarm services cannot ask for devices; a node with NVIDIA's runtime reads this instead.
        devices = {"NVIDIA_VISIBLE_DEVICES": "all"} if on_swarm else {}
        # Without it that runtime mounts the libraries for nvidia-smi only.
        return {
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
            **({} if on_swarm else {"CUDA_CACHE_PATH": CUDA_CACHE_DIRECTORY}),
            **devices,
            **layers,
        }

    def health_check(self, host: str) -> dict[str, object]:
        return {"kind": "inference", "url": f"http://{host}:{self.port}"}

    def check_options(self, stack: Stack) -> dict[str, object]:
        """A one-token test needs a model that generates text, and is in memory anyway."""
        models: dict[str, object] = {
            "models": [self._shown_model(name, stack) for name in self.names]
        }
        if self.model is None:
            return {"routes": True, **models}
        model = self._loaded(self.model, stack)
        if model.idle_sleep is not None:
            return {"sleeps": True, **models}
        return models if model.task == "chat" else {"generates": False, **models}

    def _shown_model(self, name: str, stack: Stack) -> dict[str, str]:
        """A model as the status page shows it."""
        _, placeholder = stack.loaded_model(name)
        return {"name": name, **({"placeholder": placeholder.name} if placeholder else {})}

    def upstreams(self, name: str, stack: Stack) -> list[Upstream]:
        return [self._upstream(model, name, stack) for model in self.names]

    def _upstream(self, model: str, name: str, stack: Stack) -> Upstream:
        loaded, placeholder = stack.loaded_model(model)
        return Upstream(
            model=model,
            url=f"http://{name}:{self.port}",
            loaded=loaded,
            placeholder=placeholder,
            description=stack.models[model].description,
            status_port=STATUS_PORT,
            task=stack.models[model].task,
            router=Router(name, self._most_loaded) if self.models else None,
        )

    def problems(
        self, name: str, models: Mapping[str, Model | None], source: Source
    ) -> Iterator[Problem]:
        at = ("services", name)
        for index, model in enumerate(self.names):
            if model not in models:
                yield source.problem(
                    (*at, "models", index) if self.models else (*at, "model"),
                    "is not a model of the catalogue",
                    found=model,
                    allowed=choices(model, models),
                )
        known = {name: found for name in self.names if (found := models.get(name))}
        yield from self._memory_problems(at, known, source)
        if self.models:
            yield from _router_problems(at, known, source)

    def _memory_problems(
        self, at: tuple[str, ...], models: Mapping[str, Model], source: Source
    ) -> Iterator[Problem]:
        """The largest models that are in memory at once have to fit."""
        largest = self.in_memory(
            {name: model_memory(one, on_gpu=self.gpus is not None) for name, one in models.items()}
        )
        if problem := memory_problem(largest, service=at[-1], memory=self.memory, source=source):
            yield problem

    def in_memory(self, estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
        """Of its models, the largest ones that are in memory at once."""
        names = sorted(estimates, key=lambda name: estimates[name].total, reverse=True)
        return {name: estimates[name] for name in names[: self._most_loaded]}


def _router_problems(
    at: tuple[str, ...], models: Mapping[str, Model], source: Source
) -> Iterator[Problem]:
    """What the models of one container cannot have."""
    bundled = {model.bundled for model in models.values()}
    if len(bundled) > 1:
        found = ", ".join(name for name, model in models.items() if model.bundled)
        yield source.problem(
            (*at, "models"),
            "mixes models of an image with others",
            found=found,
            allowed="allowed: models without bundled, or with the same one",
        )
    for name, model in models.items():
        for option, value in model.options.items():
            if set(str(value)) & _INI_COMMENTS:
                yield source.problem(
                    (*at, "models"),
                    f"the option {option} of {name!r} cannot be written to llama-server's preset",
                    found=str(value),
                    allowed="allowed: a value without ; and #, or a service with model",
                )
