"""Kind `chat`: the gateway and its web page."""

from __future__ import annotations

import json
from typing import ClassVar, Literal

from pydantic import Field

from components.config.field_types import Port
from components.config.named_secrets import SECRETS_DIRECTORY
from components.config.names import MONITOR
from components.kinds.service import LocalService, ServedApi, Stack, Upstream
from components.kinds.workload import DRAIN_SECONDS, STOP_GRACE, Workload, present
from components.runtime.orchestrator import list_location

MODEL_LIST = "models.json"
# The team and the audiences of Cloudflare Access, once its application exists.
ACCESS_FILE = "access.json"

# Where the gateway records who used what: DEFAULT_USAGE of app/chat/settings.py.
USAGE_DIRECTORY = "/var/lib/chat"


class ChatService(LocalService):
    """The OpenAI-compatible gateway in front of every model of the stack, with its page."""

    checks_keys: ClassVar[bool] = True

    kind: Literal["chat"] = "chat"
    port: Port = 8080
    start_timeout: int = Field(default=90, ge=1)

    def workload(self, name: str, stack: Stack) -> Workload:
        has_keys = stack.secrets.api_keys is not None
        gateway: dict[str, object] = {
            "model_list": list_location(name, MODEL_LIST, on_swarm=stack.on_swarm),
            "requires_keys": has_keys,
            "drain_seconds": DRAIN_SECONDS,
            **stack.settings.gateway.config(),
        }
        if access := self._access(name, stack):
            gateway["access"] = access
        if hosts := dict.fromkeys((*stack.gateway_hosts, *stack.settings.gateway.hosts)):
            gateway["hosts"] = list(hosts)
        if status_page := _status_page(stack):
            gateway["status_page"] = status_page
        lists: dict[str, object] = {"models": _models(stack)}
        if routers := _routers(stack):
            lists["routers"] = routers
        if servers := [_server(other, api) for other, api in stack.served_apis.items()]:
            lists["servers"] = servers
        return Workload(
            image="chat",
            stop_grace=STOP_GRACE,
            usage_directory=USAGE_DIRECTORY,
            environment=stack.network_environment,
            config_files={
                "gateway.json": json.dumps(gateway, indent=2, sort_keys=True),
                **stack.settings.network_access.files,
            },
            lists={MODEL_LIST: json.dumps(lists, indent=2, sort_keys=True)},
            # Keys for the first time, or none any more, are another container.
            rereads_secrets="api_keys" if has_keys else "",
            secret_files=present({"api_keys.json": stack.secrets.api_keys}),
            named_secrets={
                f"{SECRETS_DIRECTORY}/{_key_file(name)}": api.serves.api_key
                for name, api in stack.served_apis.items()
                if api.serves.api_key
            },
        )

    def _access(self, name: str, stack: Stack) -> dict[str, object] | None:
        """The settings of callers by Cloudflare Access. Its application exists only later."""
        configured = stack.settings.gateway.config().get("access")
        if configured is None or name not in stack.services_behind_access:
            return configured
        late = {"applications": list_location(name, ACCESS_FILE, on_swarm=stack.on_swarm)}
        limits = {key: one for key, one in configured.items() if key not in ("team", "audiences")}
        return {**limits, **late}

    def health_check(self, host: str) -> dict[str, object]:
        return {"kind": "chat", "url": f"http://{host}:{self.port}"}

    def dependencies(self, stack: Stack) -> list[str]:
        """A gateway whose models are down works as it should: a restart would not help."""
        return stack.upstream_services


def _status_page(stack: Stack) -> dict[str, object]:
    """Where people open the monitor's page, for a link to it."""
    url = stack.settings.monitor.alerts.page_url
    port = stack.settings.host_ports.get(MONITOR)
    return {**({"url": str(url)} if url else {}), **({"port": port} if port else {})}


def _server(name: str, api: ServedApi) -> dict[str, object]:
    """An entry under `servers` of gateway.json."""
    serves = api.serves
    return {
        "name": name,
        "description": api.description,
        "urls": [api.url],
        "path": serves.path,
        "models": serves.models,
        "api_key_file": _key_file(name) if serves.api_key else None,
        "concurrency": serves.concurrency,
        "tasks": serves.tasks,
        "health": serves.health,
        "external": api.external,
    }


def _key_file(service: str) -> str:
    return f"upstream-{service}"


def _models(stack: Stack) -> list[dict[str, object]]:
    """Each model once, with every server that has it alone."""
    entries: dict[str, dict[str, object]] = {}
    replicas: dict[str, list[str]] = {}
    for upstream in stack.upstreams:
        if upstream.router is not None:
            continue
        replicas.setdefault(upstream.model, []).append(upstream.url)
        entries[upstream.model] = {
            **_model(upstream),
            "replicas": replicas[upstream.model],
            "status_port": upstream.status_port,
            **({"sleeps": True} if upstream.loaded.idle_sleep is not None else {}),
        }
    return list(entries.values())


def _routers(stack: Stack) -> list[dict[str, object]]:
    """Each model server that has only some of its models in memory."""
    entries: dict[str, dict[str, object]] = {}
    models: dict[str, list[dict[str, object]]] = {}
    for upstream in stack.upstreams:
        if router := upstream.router:
            models.setdefault(router.name, []).append(_model(upstream))
            entries[router.name] = {
                "name": router.name,
                "urls": [upstream.url],
                "status_port": upstream.status_port,
                "max_loaded": router.max_loaded,
                "models": models[router.name],
            }
    return list(entries.values())


def _model(upstream: Upstream) -> dict[str, object]:
    placeholder = upstream.placeholder
    return {
        "id": upstream.model,
        "context": upstream.loaded.context,
        "slots": upstream.loaded.slots,
        "description": upstream.description,
        "placeholder": {"model": placeholder.name, "reason": placeholder.reason}
        if placeholder
        else None,
        # A model that generates text has the tasks that are the gateway's default.
        **({} if upstream.task == "chat" else {"tasks": [upstream.task]}),
    }
