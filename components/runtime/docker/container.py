"""A container on one engine, with the hardening that every container of a stack gets."""

from __future__ import annotations

from collections.abc import Iterator

import pulumi
import pulumi_docker as docker

from components.config.compose.ports import PublishedPort
from components.config.field_types import MEBIBYTE
from components.runtime.container import PROCESS_LIMIT, HardenedContainerArgs, Mount
from components.runtime.container_options import HealthCheck
from components.runtime.docker.predecessor import Predecessor
from components.runtime.go_duration import long_go_duration
from components.runtime.labels import (
    Label,
    files_label,
    loosened_label,
    service_label,
    stack_label,
)

# Where a container holds the volumes that it mounts from their folder.
HELD = "/run/volumes"
_LIMITS = {"nproc": (PROCESS_LIMIT, PROCESS_LIMIT)}


def hardened_container(
    name: str,
    args: HardenedContainerArgs,
    predecessor: Predecessor | None,
    opts: pulumi.ResourceOptions,
) -> docker.Container:
    """Declare the container; nothing waits here until it is healthy.

    A container without a host port starts beside the one it replaces. With one it cannot, since two
    containers cannot hold the same port: the old one, the predecessor, is stopped first.
    """
    options = args.options
    labels = [stack_label(args.stack), service_label(args.service)]
    labels += [Label(label=name, value=text) for name, text in sorted(options.labels.items())]
    if options.loosened:
        labels.append(loosened_label(options.loosened))
    if args.files:
        version = pulumi.Output.all(*(files.version for files in args.files)).apply(",".join)
        labels.append(files_label(version))
    mounts = (*(mount for files in args.files for mount in files.mounts), *args.mounts)
    ports = list(options.ports)
    if args.port and args.host_port:
        ports.insert(0, PublishedPort(args.host_port, args.port))
    return docker.Container(
        name,
        image=args.image,
        user=options.user,
        group_adds=list(options.groups) or None,
        entrypoints=list(options.entrypoint) or None,
        command=list(options.command) or None,
        working_dir=options.working_directory,
        healthcheck=_health_check(options.health_check),
        tty=args.terminal or None,
        hostname=args.hostname,
        gpus=args.gpus,
        read_only=options.read_only,
        init=options.init,
        restart=options.restart,
        # A job's container stays, so that its log can be read.
        must_run=False if options.is_job else None,
        capabilities=docker.ContainerCapabilitiesArgs(
            drops=["ALL"],
            adds=[f"CAP_{name}" for name in sorted(options.capabilities)] or None,
        ),
        devices=[
            docker.ContainerDeviceArgs(
                host_path=device.source,
                container_path=device.path,
                permissions=device.permissions,
            )
            for device in options.devices
        ]
        or None,
        hosts=[
            docker.ContainerHostArgs(host=host, ip=address)
            for host, address in sorted(options.extra_hosts.items())
        ]
        or None,
        shm_size=-(-options.shared_memory // MEBIBYTE) if options.shared_memory else None,
        security_opts=["no-new-privileges:true", *args.security_opts],
        userns_mode=args.userns_mode,
        memory=args.memory // MEBIBYTE,
        memory_swap=args.memory // MEBIBYTE,
        # As the engine reads it back: "1" would be a change at every preview.
        cpus=str(float(args.cpus)),
        ulimits=[
            docker.ContainerUlimitArgs(name=name, soft=soft, hard=hard)
            for name, (soft, hard) in sorted({**_LIMITS, **options.ulimits}.items())
        ],
        tmpfs={path: files.options for path, files in options.temporary_files.items()},
        log_driver="json-file",
        log_opts={"max-size": "10m", "max-file": "3"},
        envs=[
            f"{name}={value}" if isinstance(value, str) else pulumi.Output.concat(name, "=", value)
            for name, value in sorted(args.environment.items())
        ],
        labels=[docker.ContainerLabelArgs(**label) for label in labels],
        volumes=[volume for mount in mounts for volume in _volumes(mount)],
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(
                name=network, aliases=[args.service, *options.aliases]
            )
            for network in args.networks
        ],
        ports=[
            docker.ContainerPortArgs(
                internal=port.target,
                external=port.published,
                ip=port.address,
                protocol=None if port.protocol == "tcp" else port.protocol,
            )
            for port in ports
        ]
        or None,
        stop_timeout=args.stop_grace,
        destroy_grace_seconds=args.stop_grace,
        # The health gate waits, and reports why not: see components/runtime/docker/health.py.
        wait=False,
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                delete_before_replace=False,
                depends_on=[files.written for files in args.files if files.written],
                hooks=predecessor.hooks(name) if predecessor else None,
                # The provider takes a changed health check for done without doing anything.
                replace_on_changes=["healthcheck"],
            ),
        ),
    )


def _volumes(mount: Mount) -> Iterator[docker.ContainerVolumeArgs]:
    yield docker.ContainerVolumeArgs(
        volume_name=None if mount.folder else mount.volume,
        host_path=mount.folder or mount.host_path,
        container_path=mount.path,
        read_only=mount.read_only,
    )
    if mount.folder:
        # Without this one the engine takes the volume for unused, and `docker volume prune` would
        # remove it. The image has nothing at this path that could be copied into it.
        yield docker.ContainerVolumeArgs(
            volume_name=mount.volume, container_path=f"{HELD}{mount.path}", read_only=True
        )


def _health_check(check: HealthCheck | None) -> docker.ContainerHealthcheckArgs | None:
    """None leaves the image's own."""
    if check is None:
        return None
    # Also where nothing is checked: the engine fills what is missing, or zero, from the image, and
    # the next preview would show that as a change.
    return docker.ContainerHealthcheckArgs(
        tests=list(check.test),
        interval=long_go_duration(check.interval),
        timeout=long_go_duration(check.timeout),
        retries=check.retries,
        start_period=long_go_duration(max(1, check.start_period)),
    )
