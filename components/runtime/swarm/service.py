"""A service of a Swarm, with a container's hardening as far as Swarm supports it.

The provider has no field for no-new-privileges, nor for a limit on processes: the engines of the
nodes have to set both for all their containers, see docs/swarm.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.runtime.container import HardenedContainerArgs, Mount
from components.runtime.container_options import HealthCheck, TemporaryFiles
from components.runtime.go_duration import go_duration
from components.runtime.labels import Label, loosened_label, service_label, stack_label

# How long after a task has become healthy it still counts for or against its version, in seconds.
WATCHED = 10
# Seconds until a task that exited is restarted.
RESTART_DELAY = 5
# Swarm sends no request to a task before its health check has passed, and restarts it when the
# check fails. Engines before Docker 25 wait a whole interval first.
CHECKED_EVERY = 10


@dataclass(frozen=True)
class Placement:
    """Which nodes may run a service, as Swarm's own expressions."""

    constraints: Sequence[str] = ()
    spread_over: str | None = None


def hardened_service(
    name: str, args: HardenedContainerArgs, placement: Placement, opts: pulumi.ResourceOptions
) -> tuple[docker.Service, pulumi.Output[str]]:
    """Declare the service; nothing waits here. Returns it with a digest of all that it runs.

    A task that is replaced stays until its successor is healthy, unless it is to be recreated.
    When a version fails, Swarm goes back to the one before it.
    """
    options = args.options
    task: docker.ServiceTaskSpecArgsDict = {
        "container_spec": _container(args),
        "networks_advanceds": [
            {"id": network, "aliases": [args.service, *options.aliases]}
            for network in args.networks
        ],
        "log_driver": {"name": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
        "placement": {
            "constraints": sorted(placement.constraints),
            "prefs": [placement.spread_over] if placement.spread_over else [],
        },
        "resources": {
            "limits": {"memory_bytes": args.memory, "nano_cpus": int(args.cpus * 1e9)},
            # Processors are shared, memory is not: a node takes no more than it can hold.
            "reservation": {"memory_bytes": args.memory},
        },
        "restart_policy": {
            "condition": "none" if options.is_job else "any",
            "delay": go_duration(RESTART_DELAY),
            "max_attempts": 0,
            "window": "0s",
        },
    }
    mode: docker.ServiceModeArgsDict = {"replicated": {"replicas": args.replicas or 1}}
    service = docker.Service(
        name,
        # Another file makes another service where the args say so, see components/tunnel/tunnel.py.
        name=pulumi.Output.concat(name, "-", args.hostname) if args.hostname else None,
        task_spec=task,
        mode=mode,
        # No virtual address: each name leads to the addresses of all healthy tasks, and no kernel
        # needs IPVS for it.
        endpoint_spec={"mode": "dnsrr"},
        update_config={
            "parallelism": 1,
            "order": "stop-first" if args.recreate else "start-first",
            "failure_action": "rollback",
            "monitor": go_duration(WATCHED),
            "max_failure_ratio": "0.0",
        },
        rollback_config={
            "parallelism": 0,
            "order": "start-first",
            "failure_action": "pause",
            "monitor": go_duration(RESTART_DELAY),
            "max_failure_ratio": "0.0",
        },
        labels=[docker.ServiceLabelArgs(**label) for label in _labels(args)],
        opts=pulumi.ResourceOptions.merge(
            opts,
            # The engine adds what it has read of the image.
            pulumi.ResourceOptions(ignore_changes=["taskSpec.placement.platforms"]),
        ),
    )
    version = pulumi.Output.json_dumps({"task": task, "mode": mode}, sort_keys=True).apply(_digest)
    return service, version


def _container(
    args: HardenedContainerArgs,
) -> docker.ServiceTaskSpecContainerSpecArgsDict:
    options = args.options
    spec: docker.ServiceTaskSpecContainerSpecArgsDict = {
        "image": args.image,
        # A name for each replica on the network, the same after it was replaced.
        "hostname": f"{args.service}-{{{{.Task.Slot}}}}" if args.replicas else args.service,
        "read_only": options.read_only,
        "init": options.init,
        "cap_drops": ["ALL"],
        "labels": [{**label} for label in _labels(args)],
        "mounts": [*(_mount(mount, args) for mount in args.mounts), *_temporary_files(args)],
        "secrets": [secret for files in args.files for secret in files.secrets],
        "configs": [config for files in args.files for config in files.configs],
        "stop_grace_period": go_duration(args.stop_grace),
        "healthcheck": _health_check(options.health_check),
    }
    # What is left out comes from the image.
    if options.user:
        spec["user"] = options.user
    if options.capabilities:
        spec["cap_adds"] = [f"CAP_{name}" for name in sorted(options.capabilities)]
    if options.working_directory:
        spec["dir"] = options.working_directory
    if options.extra_hosts:
        spec["hosts"] = [
            {"host": host, "ip": address} for host, address in sorted(options.extra_hosts.items())
        ]
    if args.environment:
        spec["env"] = dict(args.environment)
    if options.groups:
        spec["groups"] = list(options.groups)
    if options.entrypoint:
        spec["commands"] = list(options.entrypoint)
    if options.command:
        spec["args"] = list(options.command)
    return spec


def _health_check(
    check: HealthCheck | None,
) -> docker.ServiceTaskSpecContainerSpecHealthcheckArgsDict:
    """What is left out comes from the image."""
    if check is None:
        return {"interval": go_duration(CHECKED_EVERY)}
    if list(check.test) == ["NONE"]:
        return {"tests": ["NONE"]}
    return {
        "interval": go_duration(min(check.interval, CHECKED_EVERY)),
        "tests": list(check.test),
        "timeout": go_duration(check.timeout),
        "retries": check.retries,
        "start_period": go_duration(check.start_period),
    }


def _labels(args: HardenedContainerArgs) -> list[docker.ServiceLabelArgsDict]:
    options = args.options
    own = [Label(label=name, value=text) for name, text in sorted(options.labels.items())]
    if options.loosened:
        own.append(loosened_label(options.loosened))
    return [{**label} for label in (stack_label(args.stack), service_label(args.service), *own)]


def _mount(
    mount: Mount, args: HardenedContainerArgs
) -> docker.ServiceTaskSpecContainerSpecMountArgsDict:
    """A volume, made on the node by the first task that needs it there, or a path of the node."""
    if mount.host_path:
        return {
            "type": "bind",
            "source": mount.host_path,
            "target": mount.path,
            "read_only": mount.read_only,
        }
    return {
        "type": "volume",
        "source": mount.volume,
        "target": mount.path,
        "read_only": mount.read_only,
        "volume_options": {"labels": [{**label} for label in _labels(args)]},
    }


def _temporary_files(
    args: HardenedContainerArgs,
) -> Iterator[docker.ServiceTaskSpecContainerSpecMountArgsDict]:
    """The engine adds noexec, nosuid and nodev to a mount of this type."""
    shared = args.options.shared_memory
    mounts = {
        **args.options.temporary_files,
        # A Swarm's services have no other way to set its size.
        **({"/dev/shm": TemporaryFiles(shared, "")} if shared else {}),
    }
    for path, files in mounts.items():
        options: docker.ServiceTaskSpecContainerSpecMountTmpfsOptionsArgsDict = {
            "size_bytes": files.size
        }
        if files.mode:
            options["mode"] = files.mode
        yield {"type": "tmpfs", "target": path, "tmpfs_options": options}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
