"""Keys of the Compose Specification that a service of the stack does not have, and why."""

from __future__ import annotations

from collections.abc import Mapping

# By key: why not, and what is there instead.
REFUSED_KEYS: Mapping[str, tuple[str, str]] = {
    "privileged": (
        "a privileged container is root on the machine",
        "devices, cap_add or group_add for what it needs",
    ),
    "network_mode": (
        "a container in the machine's network can reach and open every port of it",
        "ports, and extra_hosts with host-gateway to reach the machine",
    ),
    "pid": ("a container among the machine's processes can read and end them", "none"),
    "ipc": ("shared memory of the machine is open to all its processes", "shm_size: 1g"),
    "userns_mode": ("the user namespace of the machine gives root's rights", "none"),
    "security_opt": ("every container has no-new-privileges", "none"),
    "networks": ("all services of a stack share one network", "aliases for further names"),
    "container_name": ("a name would keep the next version from starting", "aliases"),
    "hostname": ("a service is found by its name", "aliases for further names"),
    "links": ("services find each other by name", "depends_on for the order"),
    "expose": ("all ports are open inside the network", "port: what it listens on"),
    "env_file": ("what a container gets is in the catalogue", "environment, secrets"),
    "deploy": ("limits are memory and cpus", "memory, cpus, gpus; llm-stack:replicas"),
    "mem_limit": ("is called memory", "memory: 2GiB"),
    "stop_grace_period": ("is called stop_grace", "stop_grace: 30, in seconds"),
    "profiles": ("a stack enables services by name", "llm-stack:services"),
    "extends": ("entries share keys by YAML anchors", "a key x-… with an anchor, and <<: *anchor"),
    "logging": ("every container keeps 3 log files of 10 MB", "none"),
    "pull_policy": ("an image is pulled when its digest is new", "image: name:tag@sha256:…"),
    "platform": ("images are those of the engine's platform", "llm-stack:registry.platforms"),
    "runtime": ("GPUs are asked for by gpus", "gpus: all"),
    "sysctls": ("the machine's kernel is not the service's to set", "none"),
    "cpuset": ("processors are shared", "cpus: how many at most"),
    "tty": ("no service has a terminal", "none"),
    "stdin_open": ("no service has a terminal", "none"),
}
