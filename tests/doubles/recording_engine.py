"""A recording double of Pulumi's engine: registered resources with parents and options."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key

# Values that the provider returns; tests search for them where secrets are not allowed.
AUDIENCE = "a" * 64
TUNNEL_TOKEN, CLIENT_SECRET = "made-tunnel-token", "made-client-secret"
QUICK_LOG = [
    "2026-11-23T14:22:09Z INF |  https://first-name.trycloudflare.com  |",
    "2026-11-23T15:10:44Z INF Requesting new quick Tunnel on trycloudflare.com...",
    "2026-11-23T15:10:45Z INF |  https://second-name.trycloudflare.com  |",
]


@dataclass
class Registration:
    """One registered resource."""

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str = ""
    """Type and name of the parent, as in its URN."""
    secrets: set[str] = field(default_factory=set)
    """Names of the inputs that are encrypted in the state."""
    retained: bool = False
    protected: bool = False
    delete_before_replace: bool = False
    trigger: str = ""
    """Another one replaces it."""
    ignored: tuple[str, ...] = ()
    provider: str = ""
    """URN and id of the provider, if the program sets one."""
    hooks: tuple[str, ...] = ()
    """Names of the hooks that run before it is created or updated."""
    depends_on: set[str] = field(default_factory=set)
    """Names of its dependencies: created before it and deleted after it."""
    replaced_on: tuple[str, ...] = ()
    timeouts: tuple[str, str, str] = ("", "", "")
    """Timeouts of creation, update and deletion; empty for the provider's defaults."""


@dataclass
class Graph:
    """All resources that a program registered."""

    resources: list[Registration] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    """The stack's outputs, with secrets in plain text."""
    secret_outputs: set[str] = field(default_factory=set)

    def of(self, kind: str) -> dict[str, Registration]:
        """Resources by name whose type ends in `kind`."""
        return {r.name: r for r in self.resources if r.type.split(":")[-1] == kind}

    def is_only_in_files(self, text: str, files: str) -> bool:
        """Whether a secret is, encrypted, only in the resources of these files."""
        carrier = self.of("Container")[f"{files}-carrier"]
        contents = self.of("Stash")[f"{files}-contents"]
        encrypted = "uploads" in carrier.secrets and "input" in contents.secrets
        return encrypted and [r for r in self.resources if text in str(r)] == [
            r for r in self.resources if r in (carrier, contents)
        ]

    def is_only_in_watched_files(self, text: str, files: str) -> bool:
        """The same for files that a program reads again while it runs."""
        written = self.of("Stash")[files]
        return "input" in written.secrets and [
            one for one in self.resources if text in str(one)
        ] == [written]

    def config_file(self, service: str, name: str) -> str:
        """The content of a configuration file of a service's container."""
        uploads = self.of("Container")[f"{service}-config-carrier"].inputs["uploads"]
        files = {upload["file"]: upload["content"] for upload in uploads}
        content: str = files[f"/run/config/{name}"]
        return content

    def list_file(self, service: str, name: str) -> str:
        """The content of a file that the program of a service reads again while it runs."""
        written: dict[str, Any] = self.of("Stash")[f"{service}-lists"].inputs["input"]
        content: str = written["files"][name]
        return content

    def settings(self, service: str) -> dict[str, Any]:
        """The settings of the gateway, the monitor or the restarter, with its lists in them."""
        file, key, listed = {
            "monitor": ("monitor.json", "service_list", "services.json"),
            "restarter": ("restarter.json", "service_list", "restartable.json"),
        }.get(service, ("gateway.json", "model_list", "models.json"))
        settings: dict[str, Any] = json.loads(self.config_file(service, file))
        assert settings.pop(key) == f"/run/lists/{listed}"
        return {**settings, **json.loads(self.list_file(service, listed))}

    @property
    def running(self) -> dict[str, Registration]:
        """Containers that run, without those that only carry files into a volume."""
        return {n: r for n, r in self.of("Container").items() if r.inputs.get("start") is not False}


def _unwrapped(value: Any) -> Any:
    """Inputs with unwrapped secrets, so that tests can read them."""
    if isinstance(value, dict):
        if _special_sig_key in value:
            return _unwrapped(value["value"])
        return {key: _unwrapped(item) for key, item in value.items()}
    return [_unwrapped(item) for item in value] if isinstance(value, list) else value


class RecordingMocks(Mocks):
    """Responds like the Docker provider: ids, image ids, and the folders of volumes."""

    def __init__(self) -> None:
        self.inputs: dict[tuple[str, str], dict[str, Any]] = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.inputs[args.typ, args.name] = _unwrapped(args.inputs)
        outputs = {"name": args.name, **args.inputs}
        if args.typ == "docker:index/remoteImage:RemoteImage":
            outputs["imageId"] = f"sha256:{args.name}"
        if args.typ == "docker:index/registryImage:RegistryImage":
            outputs["sha256Digest"] = f"sha256:{args.name}"
        # Of the catalogue. The restarter's token, another one in every run, has no output.
        if args.typ == "pulumi:index:Stash" and args.name.startswith("secret-"):
            outputs["output"] = args.inputs["input"]
        if args.typ == "docker:index/volume:Volume":
            outputs["mountpoint"] = f"/var/lib/docker/volumes/{args.name}/_data"
        if args.typ.endswith(":ZeroTrustAccessServiceToken"):
            outputs |= {"clientId": "client-id", "clientSecret": CLIENT_SECRET}
        if args.typ.endswith(":ZeroTrustAccessApplication"):
            outputs["aud"] = AUDIENCE
        return f"{args.name}-id", outputs

    # Pulumi accepts the outputs without a list of failures.
    def call(self, args: MockCallArgs) -> dict[str, Any]:  # type: ignore[override]
        if args.token.endswith(":getZeroTrustTunnelCloudflaredToken"):
            return {**args.args, "token": TUNNEL_TOKEN}
        if args.token.endswith(":getZeroTrustOrganization"):
            return {**args.args, "authDomain": "own-team.cloudflareaccess.com"}
        if args.token.endswith(":getLogs"):
            return {**args.args, "logsListStrings": QUICK_LOG}
        return {}


class RecordingMonitor(MockMonitor):
    """Records what Pulumi's mocks do not: parents, options, and which inputs are secret."""

    def __init__(self, mocks: RecordingMocks) -> None:
        super().__init__(mocks)
        self.recording = mocks
        self.graph = Graph()

    def RegisterResource(self, request: Any) -> Any:
        # Not typed by Pulumi.
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            self.graph.resources.append(
                Registration(
                    type=request.type,
                    name=request.name,
                    inputs=self.recording.inputs[request.type, request.name],
                    parent=request.parent.split("$")[-1].removeprefix("urn:pulumi:"),
                    secrets={k for k, v in request.object.items() if _has_secret(v)},
                    retained=request.retainOnDelete,
                    protected=request.protect,
                    delete_before_replace=request.deleteBeforeReplace,
                    trigger=request.replacement_trigger.string_value,
                    ignored=tuple(request.ignoreChanges),
                    provider=request.provider,
                    hooks=(*request.hooks.before_create, *request.hooks.before_update),
                    depends_on={urn.split("::")[-1] for urn in request.dependencies},
                    replaced_on=tuple(request.replaceOnChanges),
                    timeouts=(
                        request.customTimeouts.create,
                        request.customTimeouts.update,
                        request.customTimeouts.delete,
                    ),
                )
            )
        return response


class RecordingCallbacks:
    """Replaces the engine's callbacks into the program, which mocks do not make."""

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None: ...

    def register_error_hook(self, hook: pulumi.ErrorHook) -> None: ...


def _has_secret(value: object) -> bool:
    """Secrets are sent to the engine as objects with a signature."""
    return _special_secret_sig in str(value)


StackRunner = Callable[..., Graph]
"""Runs the program with settings, secrets and a stack's name."""
