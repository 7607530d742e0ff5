"""Keys that cannot be carried: those that open the machine, and those without a use here."""

from __future__ import annotations

from toolchain.compose.forms import is_true
from toolchain.compose.outcome import Outcome
from toolchain.compose.yaml_file import Section

_OUTSIDE = "run this service outside the stack; kind: external puts its API behind the gateway"
# Why keys that change nothing here are left out.
_WITHOUT_USE = {
    "logging": "the engine's own logging holds for all containers",
    "pull_policy": "the digest in the state decides when an image is pulled",
    "tty": "no terminal is attached to a service",
    "stdin_open": "no terminal is attached to a service",
    "platform": "the engine's own platform is used",
    "cpuset": "cpus limits the processors; particular ones cannot be chosen",
    "cpu_shares": "cpus limits the processors",
    "memswap_limit": "memory is the limit, without swap",
    "mem_swappiness": "memory is the limit, without swap",
    "mem_reservation": "memory is the limit; nothing is reserved",
    "oom_kill_disable": "memory is the limit",
    "oom_score_adj": "memory is the limit",
    "pids_limit": "the stack's own limit holds",
    "cap_drop": "every capability is dropped already, except those of cap_add",
    "scale": "one container for each entry; add entries for more",
    "attach": "it concerns docker compose up only",
    "develop": "it concerns docker compose watch only",
    "dns": "the engine's own resolver is used; see docs/networks.md",
    "dns_search": "the engine's own resolver is used",
    "dns_opt": "the engine's own resolver is used",
    "domainname": "aliases give further names",
    "mac_address": "the engine chooses it",
    "sysctls": "kernel parameters are the machine's",
    "isolation": "it concerns Windows only",
    "annotations": "labels are carried",
    "stop_signal": "the image's own signal is used",
    "userns_mode": "the engine's own setting holds",
    "cgroup": "the engine's own setting holds",
    "cgroup_parent": "the engine's own setting holds",
    "uts": "each container has its own host name",
    "post_start": "put it into the entrypoint",
    "pre_stop": "put it into the entrypoint",
    "storage_opt": "the engine's own setting holds",
    "label_file": "write labels",
    "external_links": "all services of a stack are on one network",
    "links": "all services of a stack are on one network, by their names",
    "volumes_from": "name the volumes in both services",
    "credential_spec": "it concerns Windows only",
    "provider": "it concerns Docker's own tools only",
    "models": "add a service of kind inference, see docs/adding-a-service.md",
    "blkio_config": "limits of disks are the machine's",
}
_HANDLED = {
    "image", "build", "command", "entrypoint", "working_dir", "environment", "env_file", "secrets",
    "configs", "volumes", "tmpfs", "shm_size", "ports", "expose", "healthcheck", "depends_on",
    "restart", "gpus", "devices", "group_add", "user", "read_only", "cap_add", "extra_hosts",
    "ulimits", "labels", "init", "stop_grace_period", "mem_limit", "cpus", "deploy", "hostname",
    "container_name", "networks", "network_mode", "privileged", "pid", "ipc", "runtime", "profiles",
    "security_opt", "extends", "device_cgroup_rules",
}  # fmt: skip


KNOWN_KEYS = frozenset({*_HANDLED, *_WITHOUT_USE})


def find_obstacles(service: Section, outcome: Outcome) -> None:
    """Report every key that keeps the service from being carried."""
    if is_true(service.get("privileged")):
        outcome.refuse("privileged", "it gives the container control of the machine", _OUTSIDE)
    mode = str(service.get("network_mode") or "")
    if mode == "host":
        outcome.refuse("network_mode", "host: services are on the stack's network only", _OUTSIDE)
    elif mode.startswith(("service:", "container:")):
        outcome.refuse(
            "network_mode",
            f"{mode}: each service has its own network namespace",
            "remove it, and use the names of services instead of localhost",
        )
    elif mode == "none":
        outcome.change("network_mode", "none: it is on the stack's network (loosened)")
    pid = str(service.get("pid") or "")
    if pid:
        outcome.refuse("pid", f"{pid}: processes of others are not visible to a service", _OUTSIDE)
    if service.get("device_cgroup_rules"):
        outcome.lose("device_cgroup_rules", "rules of devices", "use devices: [/dev/…]")


def report_without_use(service: Section, outcome: Outcome) -> None:
    """Report every other key that is left out, with the reason."""
    for key in service:
        if key in _WITHOUT_USE:
            if service[key] not in (None, [], {}):
                outcome.change(key, f"left out: {_WITHOUT_USE[key]}")
        elif key.startswith("x-"):
            outcome.change(key, "left out: an extension")
        elif key not in KNOWN_KEYS:
            outcome.lose(key, "the catalogue has no such key", "see docs/adding-a-service.md")
    for option in service.get("security_opt") or []:
        if option.startswith("no-new-privileges"):
            continue
        outcome.lose("security_opt", option, "the engine's own profile is used")
