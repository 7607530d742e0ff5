"""The rules: plain functions over one resource, for Pulumi's policy engine and for the tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# A stack is taken for production unless its name says otherwise.
DEVELOPMENT = re.compile(r"^dev(-.*)?$")
# The one program that may hold the engine's socket; see app/restarter.
SOCKET_HOLDER = "restarter"
SERVICE_LABEL = "llm-stack.service"

SECRET_NAME = re.compile(r"(^|_)(TOKEN|KEY|SECRET|PASSWORD|PASSPHRASE|CREDENTIALS)$", re.IGNORECASE)
SECRET_FLAG = re.compile(r"^--?[\w-]*(token|key|secret|password)(=.+)?$", re.IGNORECASE)
# Beginnings that the makers of tokens chose so that leaks are found: the connectors of Cloudflare
# Tunnel (base64 of JSON), Hugging Face, GitHub, Pulumi.
SECRET_VALUE = re.compile(r"\b(eyJ[\w+/=-]{40,}|hf_\w{20,}|gh[pousr]_\w{20,}|pul-[0-9a-f]{20,})")
# A socket can also be reached by way of the folder that holds it.
SOCKET_PATHS = ("/var/run/docker.sock", "/run/docker.sock")
NAMESPACES = ("networkMode", "pidMode", "ipcMode", "usernsMode")


@dataclass(frozen=True)
class Resource:
    """One resource as the program asks for it; `props` are the provider's inputs."""

    type: str
    props: Mapping[str, Any]
    stack: str

    def is_a(self, *kinds: str) -> bool:
        """Whether this is one of these types of the Docker provider."""
        return self.type.startswith("docker:") and self.type.rpartition(":")[2] in kinds


@dataclass(frozen=True)
class Rule:
    """What is looked at, and what is said of what breaks it."""

    name: str
    description: str
    check: Callable[[Resource], Iterable[str]]
    production_only: bool = False

    def violations(self, resource: Resource) -> list[str]:
        """What is wrong, a sentence each, with the way out."""
        if self.production_only and DEVELOPMENT.match(resource.stack):
            return []
        return list(self.check(resource))


def no_host_port(resource: Resource) -> Iterator[str]:
    """Whoever reaches the host would get round tunnels and access rules."""
    if resource.is_a("Container"):
        for port in resource.props.get("ports") or ():
            yield (
                f"opens port {_whole(port.get('external'))} on the host; in production a tunnel "
                "leads to a service: take it out of llm-stack:hostPorts"
            )
    if resource.is_a("Service"):
        for port in (resource.props.get("endpointSpec") or {}).get("ports") or ():
            yield f"opens port {_whole(port.get('publishedPort'))} on every host of the swarm"


def no_privileges(resource: Resource) -> Iterator[str]:
    """A container with these rights is no boundary."""
    if added := _container_spec(resource).get("capAdds"):
        yield f"is given the capabilities {', '.join(added)}; drop them"
    if not resource.is_a("Container"):
        return
    props = resource.props
    if props.get("privileged"):
        yield "is privileged; none of our programs needs that"
    if added := (props.get("capabilities") or {}).get("adds"):
        yield f"is given the capabilities {', '.join(added)}; drop them"
    if props.get("devices"):
        yield "is given devices of the host"
    # On an engine that maps users or confines by SELinux the socket can't be reached otherwise; see
    # components/engine/socket.py.
    holds_socket = _label(resource, SERVICE_LABEL) == SOCKET_HOLDER
    for namespace in NAMESPACES:
        if props.get(namespace) == "host" and not (holds_socket and namespace == "usernsMode"):
            yield f"shares the host's namespace: {namespace} is host"
    if "label=disable" in (props.get("securityOpts") or ()) and not holds_socket:
        yield "is not confined by SELinux: take label=disable out of securityOpts"


def no_plain_secret(resource: Resource) -> Iterator[str]:
    """Whoever may inspect a container, or read an image's history, reads these."""
    for place, name, value in _texts(resource):
        way_out = "hand it over as a file, see FilesArgs in components/runtime/orchestrator.py"
        if value and SECRET_NAME.search(name):
            yield f"{place} {name} looks like a secret; {way_out}"
        elif SECRET_VALUE.search(value):
            yield f"{place} {name or 'of it'} holds what looks like a token; {way_out}"
        elif place == "command" and SECRET_FLAG.match(value):
            yield f"{place} has {value.partition('=')[0]}, which hands over a secret; {way_out}"


def image_by_digest(resource: Resource) -> Iterator[str]:
    """A tag can be moved; what was tested is what must run."""
    image = ""
    if resource.is_a("Container"):
        image = resource.props.get("image") or ""
    elif resource.is_a("Service"):
        image = _container_spec(resource).get("image") or ""
    elif resource.is_a("RemoteImage") and not resource.props.get("build"):
        image = resource.props.get("name") or ""
    if image and not image.startswith("sha256:") and "@sha256:" not in image:
        yield f"runs {image}, whose tag can move; name it as {image}@sha256:…"


def no_docker_socket(resource: Resource) -> Iterator[str]:
    """Who holds the engine's socket owns the host."""
    if _label(resource, SERVICE_LABEL) == SOCKET_HOLDER:
        return
    for path in _host_paths(resource):
        inside = path.rstrip("/") + "/"
        if any(f"{socket}/".startswith(inside) for socket in SOCKET_PATHS):
            yield f"is given {path} of the host, and with it the engine; only the restarter may be"


def hardened(resource: Resource) -> Iterator[str]:
    """What every container that runs is started with; see components/runtime/container.py."""
    if resource.is_a("Service"):
        yield from _unconfined(resource)
    if not resource.is_a("Container"):
        return
    props = resource.props
    if props.get("start") is False:
        if props.get("networkMode") != "none":
            yield "carries files and never runs, so it needs no network: set networkMode to none"
        return
    if not props.get("readOnly"):
        yield "can write to its root: set readOnly"
    if "ALL" not in ((props.get("capabilities") or {}).get("drops") or ()):
        yield "keeps capabilities: drop ALL"
    if not any(str(opt).startswith("no-new-privileges") for opt in props.get("securityOpts") or ()):
        yield "may gain privileges: set no-new-privileges"
    if str(props.get("user") or "").partition(":")[0] in {"", "0", "root"}:
        yield "runs as root, or as whom its image says: set user"
    for limit in ("memory", "memorySwap", "cpus"):
        if not props.get(limit):
            yield f"has no limit: set {limit}"
    if not any(limit.get("name") == "nproc" for limit in props.get("ulimits") or ()):
        yield "may start processes without limit: set the ulimit nproc"
    if not {"max-size", "max-file"} <= set(props.get("logOpts") or ()):
        yield "may fill the disk with its log: set logOpts max-size and max-file"


def _unconfined(resource: Resource) -> Iterator[str]:
    """The part that Swarm supports; components/runtime/swarm/service.py has the rest."""
    task = resource.props.get("taskSpec") or {}
    spec = _container_spec(resource)
    if not spec.get("readOnly"):
        yield "can write to its root: set readOnly"
    if "ALL" not in (spec.get("capDrops") or ()):
        yield "keeps capabilities: drop ALL"
    if str(spec.get("user") or "").partition(":")[0] in {"", "0", "root"}:
        yield "runs as root, or as whom its image says: set user"
    limits = (task.get("resources") or {}).get("limits") or {}
    for limit in ("memoryBytes", "nanoCpus"):
        if not limits.get(limit):
            yield f"has no limit: set {limit}"
    if not {"max-size", "max-file"} <= set((task.get("logDriver") or {}).get("options") or ()):
        yield "may fill the disk with its log: set the log driver's max-size and max-file"


RULES = (
    Rule("no-host-port", "No port is open on a host in production", no_host_port, True),
    Rule("no-privileges", "No container has rights over its host", no_privileges),
    Rule("no-plain-secret", "Secrets are files, never text to be inspected", no_plain_secret),
    Rule("image-by-digest", "In production every image is named by digest", image_by_digest, True),
    Rule("no-docker-socket", "Only the restarter holds the engine's socket", no_docker_socket),
    Rule(
        "hardened",
        "Every container is confined as components/runtime/container.py does it",
        hardened,
    ),
)


def _texts(resource: Resource) -> Iterator[tuple[str, str, str]]:
    """Place, name and value of each text that inspection shows."""
    if resource.is_a("Container"):
        for entry in resource.props.get("envs") or ():
            name, _, value = str(entry).partition("=")
            yield "variable", name, value
        for word in (*_list(resource, "command"), *_list(resource, "entrypoints")):
            name, equals, value = str(word).partition("=")
            # `sh -c 'TOKEN=… program'` shows it just as well.
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


def _label(resource: Resource, name: str) -> str | None:
    for label in _list(resource, "labels"):
        if label.get("label") == name:
            return str(label.get("value"))
    return None


def _whole(number: float | None) -> str:
    """The engine's protocol knows no integers."""
    return "of its choice" if number is None else str(int(number))


def _container_spec(resource: Resource) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = (resource.props.get("taskSpec") or {}).get("containerSpec") or {}
    return spec


def _list(resource: Resource, key: str) -> list[Any]:
    return list(resource.props.get(key) or ())
