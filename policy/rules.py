"""The policy rules: functions over one resource, used by the policy pack and by the tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Stacks with these names are development stacks; all others are production.
DEVELOPMENT = re.compile(r"^dev(-.*)?$")
# The only service that may mount the Docker socket; see app/restarter.
SOCKET_SERVICE = "restarter"
SERVICE_LABEL = "llm-stack.service"
# What the catalogue opens for a service: `key=values; key=values`.
LOOSENED_LABEL = "llm-stack.loosened"
# These give control of the machine, whatever the catalogue says.
DANGEROUS_CAPABILITIES = {"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_ALL", "ALL"}

SECRET_NAME = re.compile(
    r"((^|_)(TOKEN|KEY|PASS|PASSPHRASE|CREDENTIALS)|SECRET|PASSWORD|PASSWD|APIKEY)$", re.IGNORECASE
)
SECRET_FLAG = re.compile(r"^--?[\w-]*(token|key|secret|password)(=.+)?$", re.IGNORECASE)
# Known token prefixes: Cloudflare Tunnel (base64 of JSON), Hugging Face, GitHub, Pulumi, OpenAI.
SECRET_VALUE = re.compile(
    r"\b(eyJ[\w+/=-]{40,}|hf_\w{20,}|gh[pousr]_\w{20,}|pul-[0-9a-f]{20,}|sk-[\w-]{20,})"
)
# Mounting a parent folder gives access to the socket too.
SOCKET_PATHS = ("/var/run/docker.sock", "/run/docker.sock")
NAMESPACES = ("networkMode", "pidMode", "ipcMode", "usernsMode")


@dataclass(frozen=True)
class Resource:
    """One declared resource; `props` are the provider's inputs."""

    type: str
    props: Mapping[str, Any]
    stack: str

    def is_a(self, *kinds: str) -> bool:
        """Whether this is one of these Docker provider types."""
        return self.type.startswith("docker:") and self.type.rpartition(":")[2] in kinds


@dataclass(frozen=True)
class Rule:
    """A named check of one resource."""

    name: str
    description: str
    check: Callable[[Resource], Iterable[str]]
    production_only: bool = False
    advisory: bool = False
    """Whether it only lists what it finds."""

    def violations(self, resource: Resource) -> list[str]:
        """The violations, each with what to change."""
        if self.production_only and DEVELOPMENT.match(resource.stack):
            return []
        return list(self.check(resource))


def no_host_port(resource: Resource) -> Iterator[str]:
    """A host port bypasses tunnels and Access policies."""
    declared = _loosened(resource).get("ports", ())
    if resource.is_a("Container"):
        for port in resource.props.get("ports") or ():
            if _port_name(port) in declared:
                continue
            yield (
                f"publishes port {_whole(port.get('external'))} on the host; in production, "
                "services are reached through a tunnel: remove it from llm-stack:hostPorts"
            )
    if resource.is_a("Service"):
        for port in (resource.props.get("endpointSpec") or {}).get("ports") or ():
            yield f"publishes port {_whole(port.get('publishedPort'))} on every node of the swarm"


def no_privileges(resource: Resource) -> Iterator[str]:
    """A container with these privileges is not isolated from its host."""
    if added := _undeclared_capabilities(resource, _container_spec(resource).get("capAdds")):
        yield f"adds the capabilities {', '.join(added)}; drop them"
    if not resource.is_a("Container"):
        return
    props = resource.props
    if props.get("privileged"):
        yield "is privileged; no service of this project needs that"
    if added := _undeclared_capabilities(resource, (props.get("capabilities") or {}).get("adds")):
        yield f"adds the capabilities {', '.join(added)}; drop them"
    if props.get("devices") and "devices" not in _loosened(resource):
        yield "mounts devices of the host"
    # With user namespace remapping or SELinux, the socket is not accessible otherwise; see
    # components/engine/socket.py.
    uses_socket = _label(resource, SERVICE_LABEL) == SOCKET_SERVICE
    for namespace in NAMESPACES:
        if props.get(namespace) == "host" and not (uses_socket and namespace == "usernsMode"):
            yield f"uses a host namespace: {namespace} is host"
    if "label=disable" in (props.get("securityOpts") or ()) and not uses_socket:
        yield "is not confined by SELinux: remove label=disable from securityOpts"


def no_plain_secret(resource: Resource) -> Iterator[str]:
    """These texts are shown by `docker inspect` and `docker history`."""
    declared = _loosened(resource).get("secret_environment", ())
    for place, name, value in _texts(resource):
        if place == "variable" and name in declared:
            continue
        remedy = "pass it as a file, see FilesArgs in components/runtime/orchestrator.py"
        if value and SECRET_NAME.search(name):
            yield f"{place} {name} looks like a secret; {remedy}"
        elif SECRET_VALUE.search(value):
            yield f"{f'{place} {name}'.strip()} contains what looks like a token; {remedy}"
        elif place == "command" and SECRET_FLAG.match(value):
            yield f"{place} has {value.partition('=')[0]}, which passes a secret; {remedy}"


def image_by_digest(resource: Resource) -> Iterator[str]:
    """A tag can move to an image that was not tested."""
    image = ""
    if resource.is_a("Container"):
        image = resource.props.get("image") or ""
    elif resource.is_a("Service"):
        image = _container_spec(resource).get("image") or ""
    elif resource.is_a("RemoteImage") and not resource.props.get("build"):
        image = resource.props.get("name") or ""
    if image and not image.startswith("sha256:") and "@sha256:" not in image:
        yield f"runs {image}, whose tag can move; use {image}@sha256:…"


def no_docker_socket(resource: Resource) -> Iterator[str]:
    """Access to the Docker socket is root access to the host."""
    if _label(resource, SERVICE_LABEL) == SOCKET_SERVICE:
        return
    for path in _host_paths(resource):
        inside = path.rstrip("/") + "/"
        if any(f"{socket}/".startswith(inside) for socket in SOCKET_PATHS):
            yield f"mounts {path} of the host, which gives access to Docker; only the restarter may"


def hardened(resource: Resource) -> Iterator[str]:
    """The hardening of every running container; see components/runtime/container.py."""
    if resource.is_a("Service"):
        yield from _hardened_service(resource)
    if not resource.is_a("Container"):
        return
    props = resource.props
    if props.get("start") is False:
        if props.get("networkMode") != "none":
            yield "is never started and needs no network: set networkMode to none"
        return
    if not props.get("readOnly") and "read_only" not in _loosened(resource):
        yield "can write to its root file system: set readOnly"
    if "ALL" not in ((props.get("capabilities") or {}).get("drops") or ()):
        yield "keeps capabilities: drop ALL"
    if not any(str(opt).startswith("no-new-privileges") for opt in props.get("securityOpts") or ()):
        yield "can gain privileges: set no-new-privileges"
    if _may_be_root(props.get("user")) and "user" not in _loosened(resource):
        yield "runs as root or as the image's default user: set user"
    for limit in ("memory", "memorySwap", "cpus"):
        if not props.get(limit):
            yield f"has no limit: set {limit}"
    if not any(limit.get("name") == "nproc" for limit in props.get("ulimits") or ()):
        yield "can start any number of processes: set the ulimit nproc"
    if not {"max-size", "max-file"} <= set(props.get("logOpts") or ()):
        yield "can fill the disk with its log: set logOpts max-size and max-file"


def _hardened_service(resource: Resource) -> Iterator[str]:
    """The part of the hardening that Swarm supports; see components/runtime/swarm/service.py."""
    task = resource.props.get("taskSpec") or {}
    spec = _container_spec(resource)
    if not spec.get("readOnly") and "read_only" not in _loosened(resource):
        yield "can write to its root file system: set readOnly"
    if "ALL" not in (spec.get("capDrops") or ()):
        yield "keeps capabilities: drop ALL"
    if _may_be_root(spec.get("user")) and "user" not in _loosened(resource):
        yield "runs as root or as the image's default user: set user"
    limits = (task.get("resources") or {}).get("limits") or {}
    for limit in ("memoryBytes", "nanoCpus"):
        if not limits.get(limit):
            yield f"has no limit: set {limit}"
    if not {"max-size", "max-file"} <= set((task.get("logDriver") or {}).get("options") or ()):
        yield "can fill the disk with its log: set the log driver's max-size and max-file"


def loosened(resource: Resource) -> Iterator[str]:
    """What the catalogue opens for a service, for the person who reads the preview."""
    for key, values in _loosened(resource).items():
        yield f"{_LOOSENED_TEXTS.get(key, key)}: {', '.join(values)}"


_LOOSENED_TEXTS = {
    "user": "may run as root",
    "read_only": "can write to its root file system; read_only",
    "cap_add": "has capabilities",
    "devices": "uses devices of the machine",
    "volumes": "uses folders of the machine",
    "ports": "publishes ports of the machine",
    "secret_environment": "has secrets that `docker inspect` shows, in the variables",
}


RULES = (
    Rule("no-host-port", "No published host ports in production", no_host_port, True),
    Rule("no-privileges", "No container has privileges on its host", no_privileges),
    Rule(
        "no-plain-secret", "Secrets are files, not variables, arguments or labels", no_plain_secret
    ),
    Rule(
        "image-by-digest", "In production, images are referenced by digest", image_by_digest, True
    ),
    Rule("no-docker-socket", "Only the restarter mounts the Docker socket", no_docker_socket),
    Rule(
        "hardened",
        "Every container is hardened as in components/runtime/container.py",
        hardened,
    ),
    Rule(
        "loosened",
        "What the catalogue opens for a service beyond the hardening",
        loosened,
        advisory=True,
    ),
)


def _texts(resource: Resource) -> Iterator[tuple[str, str, str]]:
    """Place, name and value of each text that `docker inspect` shows."""
    if resource.is_a("Container"):
        for entry in resource.props.get("envs") or ():
            name, _, value = str(entry).partition("=")
            yield "variable", name, value
        for word in (*_list(resource, "command"), *_list(resource, "entrypoints")):
            name, equals, value = str(word).partition("=")
            # `sh -c 'TOKEN=… program'` shows it too.
            yield "command", name if equals and name.isidentifier() else "", str(word)
    if resource.is_a("Service"):
        spec = _container_spec(resource)
        yield from (("variable", str(n), str(v)) for n, v in (spec.get("env") or {}).items())
        for word in (*(spec.get("args") or ()), *(spec.get("commands") or ())):
            yield "command", "", str(word)
    if resource.is_a("RemoteImage", "RegistryImage"):
        arguments = (resource.props.get("build") or {}).get("buildArgs") or {}
        yield from (("build argument", str(n), str(v)) for n, v in arguments.items())
    if resource.is_a("ServiceConfig"):
        yield "config", "", str(resource.props.get("dataRaw") or "")
    if resource.is_a("Container", "Service", "Volume", "Network", "ServiceConfig", "Secret"):
        for label in _list(resource, "labels"):
            yield "label", str(label.get("label")), str(label.get("value"))


def _host_paths(resource: Resource) -> Iterator[str]:
    if resource.is_a("Container"):
        for volume in _list(resource, "volumes"):
            if volume.get("hostPath"):
                yield str(volume.get("hostPath"))
        mounts = _list(resource, "mounts")
    elif resource.is_a("Service"):
        mounts = list(_container_spec(resource).get("mounts") or ())
    else:
        return
    for mount in mounts:
        if mount.get("type") == "bind":
            yield str(mount.get("source"))


def _loosened(resource: Resource) -> Mapping[str, Sequence[str]]:
    """By key of the catalogue: the values that a container is labelled with."""
    entries = (_label(resource, LOOSENED_LABEL) or "").split("; ")
    pairs = (entry.partition("=") for entry in entries if entry)
    return {key: values.split(",") for key, _, values in pairs}


def _undeclared_capabilities(resource: Resource, added: Iterable[str] | None) -> list[str]:
    declared = {f"CAP_{name}" for name in _loosened(resource).get("cap_add", ())}
    return [name for name in added or () if name not in declared - DANGEROUS_CAPABILITIES]


def _may_be_root(user: object) -> bool:
    return str(user or "").partition(":")[0] in {"", "0", "root"}


def _label(resource: Resource, name: str) -> str | None:
    for label in _list(resource, "labels"):
        if label.get("label") == name:
            return str(label.get("value"))
    return None


def _port_name(port: Mapping[str, Any]) -> str:
    """A port as the catalogue's label has it."""
    protocol = port.get("protocol") or "tcp"
    return f"{port.get('ip')}:{_whole(port.get('external'))}/{protocol}"


def _whole(number: float | None) -> str:
    """The port as text; Pulumi's protocol transfers numbers as floats."""
    return "(chosen by Docker)" if number is None else str(int(number))


def _container_spec(resource: Resource) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = (resource.props.get("taskSpec") or {}).get("containerSpec") or {}
    return spec


def _list(resource: Resource, key: str) -> list[Any]:
    return list(resource.props.get(key) or ())
