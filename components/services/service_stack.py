"""One service of the stack: its files, its model volume and its container."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from graphlib import TopologicalSorter

import pulumi

from components.config.field_types import MEBIBYTE
from components.config.named_secrets import SECRETS_DIRECTORY, filled, references
from components.config.names import FETCH_SUFFIX, LISTS_SUFFIX, USAGE_SUFFIX
from components.kinds.chat import ACCESS_FILE
from components.kinds.service import LocalService
from components.kinds.workload import Workload
from components.runtime.container import Files, HardenedContainerArgs, Mount, Volume
from components.runtime.container_options import USER, ContainerOptions, HealthCheck
from components.runtime.orchestrator import (
    CONFIG_DIRECTORY,
    FilesArgs,
    Orchestrator,
    Running,
    VolumeArgs,
    VolumeUse,
    Watched,
    WatchedFilesArgs,
)
from components.services.deployment import Deployment

# Where the volume has the files that a container mounts one by one.
PLACED_DIRECTORY = "/files"
# Of app/inference: what a container does.
ROLE = "ROLE"
FETCH_MEMORY = 512 * MEBIBYTE
FETCH_STOP_GRACE = 10


@dataclass(frozen=True)
class ServiceStackArgs:
    """A service of the catalogue, what its container runs, and where."""

    stack: str
    service: LocalService
    workload: Workload
    image: pulumi.Input[str]
    network: pulumi.Input[str]
    host_port: int | None
    orchestrator: Orchestrator
    replicas: int | None = None
    """None for one without a number."""
    recreate: bool = False
    """Whether an update stops the old container before it starts the new one."""
    protect: bool = False
    """Whether the model volume refuses to be deleted."""
    secrets: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    """By name: those that the workload names."""
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    """By name: those that the workload names."""
    lists: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    """More files that its program reads again while it runs, with contents that others make."""
    wait_for: Sequence[pulumi.Input[pulumi.Resource]] = ()
    """What must be healthy, or have ended, before its container starts."""


def service_args(
    name: str,
    deployment: Deployment,
    running: Mapping[str, ServiceStack],
    access: Mapping[str, pulumi.Output[str]],
) -> ServiceStackArgs:
    """The arguments for one service of a stack.

    :param running: the services that it waits for, by name.
    :param access: the content of access.json by name of the service.
    """
    plan = deployment.plan
    workload = plan.workloads[name]
    return ServiceStackArgs(
        stack=plan.stack,
        service=plan.local_services[name],
        workload=workload,
        image=deployment.image(name),
        network=deployment.network.reference,
        host_port=plan.host_port(name),
        orchestrator=deployment.orchestrator,
        replicas=plan.replicas(name),
        recreate=plan.recreates(name),
        protect=plan.protect,
        secrets={secret: deployment.secrets[secret] for secret in workload.secret_names},
        volumes={volume.name: deployment.volumes[volume.name] for volume in workload.volumes},
        lists={ACCESS_FILE: access[name]} if name in access else {},
        wait_for=[running[needed] for needed in workload.wait_for if needed in running],
    )


def service_stacks(
    deployment: Deployment, access: Mapping[str, pulumi.Output[str]]
) -> dict[str, ServiceStack]:
    """Every service that runs in a container of the stack, in the order of the settings.

    :param access: the content of access.json by name of the service.
    """
    workloads = deployment.plan.workloads
    running: dict[str, ServiceStack] = {}
    # A server elsewhere is there, or not: nothing here waits for it.
    order = TopologicalSorter(
        {name: [n for n in one.wait_for if n in workloads] for name, one in workloads.items()}
    )
    for name in order.static_order():
        running[name] = ServiceStack(name, service_args(name, deployment, running, access))
    return {name: running[name] for name in workloads}


class ServiceStack(pulumi.ComponentResource):
    """Runs one service, reached on the network under the component's own name."""

    url: str | None
    """Address on the stack's network; None for a service without a port."""
    host_url: str | None
    """Address on this machine, where the stack opens a port for the service."""
    container_name: pulumi.Output[str]
    container_id: pulumi.Output[str]
    """Known once the service is healthy."""

    def __init__(
        self, name: str, args: ServiceStackArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:ServiceStack", name, None, opts)
        self._name, self._args = name, args
        named = {
            posixpath.basename(path): args.secrets[secret]
            for path, secret in args.workload.named_secrets.items()
            if posixpath.dirname(path) == SECRETS_DIRECTORY
        }
        config = self._files("config", CONFIG_DIRECTORY, args.workload.config_files)
        secret_files = {**args.workload.secret_files, **named}
        watched = self._watched(secret_files)
        rereads = args.workload.rereads_secrets is not None
        secrets = [] if rereads else self._files("secrets", SECRETS_DIRECTORY, secret_files)
        files = [
            *config,
            *secrets,
            *self._placed_files(),
            *(f for one in watched for f in one.files),
        ]
        models = self._model_volume()
        waits_for = [*args.wait_for, *(one.written for one in watched if one.written)]
        if models and args.workload.fetches:
            waits_for.append(self._fetch(models, [*config, *secrets]).gate)
            models = replace(models, read_only=True)
            files = [*config, *self._placed_files()]
        running = args.orchestrator.run(
            name,
            HardenedContainerArgs(
                stack=args.stack,
                service=name,
                image=args.image,
                networks=[args.network],
                memory=args.service.memory,
                cpus=args.service.cpus,
                stop_grace=args.workload.stop_grace,
                environment=self._environment(),
                mounts=[
                    *([models] if models else []),
                    *self._cache(),
                    *self._usage(),
                    *self._volumes(),
                    *(mount for one in watched for mount in one.mounts),
                ],
                options=args.workload.options,
                check=args.workload.check,
                files=files,
                replicas=args.replicas,
                port=args.service.port,
                host_port=args.host_port,
                recreate=args.recreate,
                gpus=args.workload.gpus,
            ),
            args.service.start_timeout,
            opts=pulumi.ResourceOptions(parent=self, depends_on=waits_for or None),
        )
        self.container_id = running.id
        self.url = f"http://{name}:{args.service.port}" if args.service.port else None
        self.host_url = _host_url(args)
        self.container_name = running.name
        self.register_outputs({"url": self.url, "container_name": self.container_name})

    def _files(
        self, role: str, directory: str, files: Mapping[str, pulumi.Input[str]]
    ) -> list[Files]:
        if not files:
            return []
        args = FilesArgs(self._args.stack, self._name, directory, files)
        mine = pulumi.ResourceOptions(parent=self)
        return [self._args.orchestrator.files(f"{self._name}-{role}", args, mine)]

    def _watched(self, secret_files: Mapping[str, pulumi.Input[str]]) -> list[Watched]:
        """The files that its program reads again while it runs."""
        args = self._args
        files: dict[str, pulumi.Input[str]] = {**args.workload.lists, **args.lists}
        lists = WatchedFilesArgs(args.stack, self._name, files, args.network)
        secrets = replace(
            lists,
            files=secret_files,
            directory=SECRETS_DIRECTORY,
            secret=True,
            identity=args.workload.rereads_secrets,
        )
        mine = pulumi.ResourceOptions(parent=self)
        return [
            args.orchestrator.watched_files(f"{self._name}{suffix}", one, mine)
            for suffix, one, wanted in (
                (LISTS_SUFFIX, lists, bool(lists.files)),
                ("-secrets", secrets, secrets.identity is not None),
            )
            if wanted
        ]

    def _environment(self) -> dict[str, pulumi.Input[str]]:
        """Plain values, and texts with secrets in them, which stay encrypted in the state."""
        workload, secrets = self._args.workload, self._args.secrets
        texts = {
            variable: pulumi.Output.all(**{name: secrets[name] for name in references(text)}).apply(
                partial(filled, text)
            )
            for variable, text in workload.secret_environment.items()
        }
        role = {ROLE: "serve"} if workload.fetches else {}
        return {**workload.environment, **texts, **role}

    def _fetch(self, models: Mount, files: Sequence[Files]) -> Running:
        """A job that fetches and checks the models: the container that serves them can then change
        none of them, nor what is recorded of their digests, and has no token of the hub."""
        return self._args.orchestrator.run(
            f"{self._name}{FETCH_SUFFIX}",
            HardenedContainerArgs(
                stack=self._args.stack,
                service=f"{self._name}{FETCH_SUFFIX}",
                image=self._args.image,
                networks=[self._args.network],
                memory=FETCH_MEMORY,
                cpus=1.0,
                stop_grace=FETCH_STOP_GRACE,
                environment={**self._args.workload.environment, ROLE: "fetch"},
                mounts=[models],
                files=files,
                options=ContainerOptions(restart="no", health_check=HealthCheck(["NONE"])),
            ),
            self._args.service.start_timeout,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _placed_files(self) -> list[Files]:
        """Files that are mounted by themselves: those of the project, and secrets at their path."""
        workload = self._args.workload
        secrets = {
            path: name
            for path, name in workload.named_secrets.items()
            if posixpath.dirname(path) != SECRETS_DIRECTORY
        }
        given = [
            FilesArgs(
                self._args.stack,
                self._name,
                PLACED_DIRECTORY,
                {file.name: file.content for file in workload.project_files},
                {file.name: file.path for file in workload.project_files},
                executable=frozenset(
                    file.name for file in workload.project_files if file.executable
                ),
            ),
            FilesArgs(
                self._args.stack,
                self._name,
                PLACED_DIRECTORY,
                {name: self._args.secrets[name] for name in secrets.values()},
                {name: path for path, name in secrets.items()},
                secret=True,
            ),
        ]
        mine = pulumi.ResourceOptions(parent=self)
        return [
            self._args.orchestrator.files(f"{self._name}-{role}", files, mine)
            for role, files in zip(("files", "placed-secrets"), given, strict=True)
            if files.files
        ]

    def _volumes(self) -> list[Mount]:
        """What the catalogue mounts: named volumes, and paths of the machine."""
        workload = self._args.workload
        return [
            *(
                Mount(
                    volume=self._args.volumes[volume.name].name,
                    path=volume.path,
                    read_only=volume.read_only,
                    folder=self._args.volumes[volume.name].folder,
                )
                for volume in workload.volumes
            ),
            *(
                Mount(host_path=host.source, path=host.path, read_only=host.read_only)
                for host in workload.host_paths
            ),
        ]

    def _cache(self) -> list[Mount]:
        """A volume that goes with the stack."""
        path = self._args.workload.cache_directory
        if path is None:
            return []
        volume = self._args.orchestrator.volume(
            f"{self._name}-cache",
            VolumeArgs(
                stack=self._args.stack,
                service=self._name,
                kept=False,
                use=VolumeUse(USER, self._args.image, path),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        return [Mount(volume=volume.name, folder=volume.folder, path=path, read_only=False)]

    def _usage(self) -> list[Mount]:
        """A volume that every update keeps, and that goes with the stack."""
        path = self._args.workload.usage_directory
        if path is None:
            return []
        volume = self._args.orchestrator.volume(
            f"{self._name}{USAGE_SUFFIX}",
            VolumeArgs(self._args.stack, self._name, kept=False),
            pulumi.ResourceOptions(parent=self),
        )
        return [Mount(volume=volume.name, folder=volume.folder, path=path, read_only=False)]

    def _model_volume(self) -> Mount | None:
        """Gigabytes that took an hour to fetch: kept when the stack goes, found again by name."""
        if self._args.workload.model_directory is None:
            return None
        volume = self._args.orchestrator.volume(
            f"{self._name}-models",
            VolumeArgs(
                stack=self._args.stack, service=self._name, kept=True, protect=self._args.protect
            ),
            pulumi.ResourceOptions(parent=self),
        )
        path = self._args.workload.model_directory
        return Mount(volume=volume.name, path=path, read_only=False)


def _host_url(args: ServiceStackArgs) -> str | None:
    """By the stack's own port, or by one that the catalogue publishes."""
    if args.host_port:
        return f"http://127.0.0.1:{args.host_port}"
    ports = (one for one in args.workload.options.ports if one.target == args.service.port)
    published = next(ports, None)
    if published is None or published.protocol != "tcp":
        return None
    address = "127.0.0.1" if published.address in {"0.0.0.0", "::"} else published.address
    return f"http://{address}:{published.published}"
