"""A container on one engine, with the hardening that every container of a stack gets."""

from __future__ import annotations

import pulumi
import pulumi_docker as docker

from components.config.field_types import MEBIBYTE
from components.runtime.container import PROCESS_LIMIT, HardenedContainerArgs
from components.runtime.labels import files_label, service_label, stack_label


def hardened_container(
    name: str, args: HardenedContainerArgs, opts: pulumi.ResourceOptions
) -> docker.Container:
    """Declare the container; nothing waits here until it is healthy.

    A container without a host port starts beside the one it replaces. With one it cannot, since two
    containers cannot hold the same port, and the old one goes first.
    """
    labels = [stack_label(args.stack), service_label(args.service)]
    if args.files:
        version = pulumi.Output.all(*(files.version for files in args.files)).apply(",".join)
        labels.append(files_label(version))
    return docker.Container(
        name,
        image=args.image,
        user=args.user,
        group_adds=list(args.groups) or None,
        entrypoints=list(args.entrypoint) or None,
        command=list(args.command) or None,
        healthcheck=args.healthcheck,
        tty=args.terminal or None,
        hostname=args.hostname,
        gpus=args.gpus,
        read_only=True,
        init=True,
        restart="unless-stopped",
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true", *args.security_opts],
        userns_mode=args.userns_mode,
        memory=args.memory // MEBIBYTE,
        memory_swap=args.memory // MEBIBYTE,
        # As the engine reads it back: "1" would be a change at every preview.
        cpus=str(float(args.cpus)),
        ulimits=[
            docker.ContainerUlimitArgs(name="nproc", soft=PROCESS_LIMIT, hard=PROCESS_LIMIT),
        ],
        tmpfs={"/tmp": "rw,noexec,nosuid,nodev,size=64m"},
        log_driver="json-file",
        log_opts={"max-size": "10m", "max-file": "3"},
        envs=[f"{key}={value}" for key, value in sorted(args.environment.items())],
        labels=[docker.ContainerLabelArgs(**label) for label in labels],
        volumes=[
            docker.ContainerVolumeArgs(
                volume_name=mount.volume,
                host_path=mount.host_path,
                container_path=mount.path,
                read_only=mount.read_only,
            )
            for mount in (*(m for files in args.files for m in files.mounts), *args.mounts)
        ],
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(name=network, aliases=[args.service])
            for network in args.networks
        ],
        ports=[
            docker.ContainerPortArgs(internal=args.port, external=args.host_port, ip="127.0.0.1")
        ]
        if args.port and args.host_port
        else None,
        stop_timeout=args.stop_grace,
        destroy_grace_seconds=args.stop_grace,
        # The health gate waits, and reports why not: see components/runtime/docker/health.py.
        wait=False,
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                delete_before_replace=args.recreate or args.host_port is not None,
                # The provider takes a changed health check for done without doing anything.
                replace_on_changes=["healthcheck"],
            ),
        ),
    )
