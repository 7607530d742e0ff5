"""A double of Cloudflare's HTTP API: on the loopback, in memory, with injected faults.

It implements the paths, methods and error codes that the stack's resources use and validates every
request; `README.md` lists what a passing test does not prove.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PREFIX = "/client/v4"
TOKEN_FORM = re.compile(r"[0-9A-Za-z\-_]{40,80}")
NOW = "2026-11-23T00:00:00Z"
TEAM = "example"

Json = dict[str, Any]


class Refused(Exception):
    """An error response of the API."""

    def __init__(
        self, status: int, code: int, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{status}: {code} {message}")
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}


@dataclass
class Fault:
    """A fault for the next `times` requests whose `METHOD path` matches the pattern."""

    pattern: str
    status: int = 0
    """0 handles the request normally, after `delay`."""
    code: int = 10000
    message: str = "injected fault"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    times: int = 1


@dataclass(frozen=True)
class Seen:
    """A received request."""

    method: str
    path: str
    body: Json | None
    status: int


class CloudflareApi:
    """The API server: a context manager that serves while it is open."""

    def __init__(self, *, account_id: str, zone_id: str, zone_name: str, token: str) -> None:
        self.account_id, self.zone_id, self.zone_name = account_id, zone_id, zone_name
        self.token = token
        self.tunnels: dict[str, Json] = {}
        self.configurations: dict[str, Json] = {}
        self.records: dict[str, Json] = {}
        self.applications: dict[str, Json] = {}
        self.policies: dict[str, Json] = {}
        self.service_tokens: dict[str, Json] = {}
        self.tunnel_secrets: dict[str, str] = {}
        self.client_secrets: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.is_connected: Callable[[str], bool] = lambda tunnel_id: False
        """Whether a connector runs for a tunnel; set by the tests' edge."""
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """The value of `cloudflare:baseUrl`."""
        return f"http://127.0.0.1:{self._server.server_port}{PREFIX}"

    def __enter__(self) -> CloudflareApi:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def is_empty(self) -> bool:
        """Whether no resource of any stack is left."""
        return not (
            self.tunnels
            or self.records
            or self.applications
            or self.policies
            or self.service_tokens
        )

    def clear(self) -> None:
        """Remove every resource, as if nobody had used the account."""
        for objects in (
            self.tunnels,
            self.configurations,
            self.records,
            self.applications,
            self.policies,
            self.service_tokens,
        ):
            objects.clear()
        self.is_connected = lambda tunnel_id: False

    def calls(self, pattern: str) -> list[Seen]:
        """Requests whose `METHOD path` matches the pattern."""
        return [seen for seen in self.seen if re.search(pattern, f"{seen.method} {seen.path}")]

    def tunnel_token(self, tunnel_id: str) -> str:
        """The token of the tunnel's connectors."""
        parts = {"a": self.account_id, "t": tunnel_id, "s": self.tunnel_secrets[tunnel_id]}
        return base64.b64encode(json.dumps(parts).encode()).decode()

    def create_tunnel_in_dashboard(self, name: str) -> str:
        """Create a tunnel as in the dashboard; return its token."""
        made = self._tunnels("POST", {"name": name, "config_src": "cloudflare"})
        return self.tunnel_token(made["id"])

    # -- one request ------------------------------------------------------------------------------

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                api._serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def log_message(self, format: str, *args: object) -> None: ...

        return Handler

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("content-length") or 0)
        raw = request.rfile.read(length)
        path = urlsplit(request.path).path
        method = request.command
        fault = self._next_fault(f"{method} {path}")
        if fault and fault.delay:
            time.sleep(fault.delay)
        headers: dict[str, str] = {}
        body: Json | None = None
        try:
            if fault and fault.status:
                raise Refused(fault.status, fault.code, fault.message, fault.headers)
            self._authenticate(request.headers.get("authorization"))
            body = _body(raw, request.headers.get("content-type"))
            with self._lock:
                status, answer = 200, _success(self._route(method, path, body))
        except Refused as refused:
            status, headers = refused.status, refused.headers
            answer = _failure(refused)
        self.seen.append(Seen(method, path, body, status))
        content = json.dumps(answer).encode()
        request.send_response(status)
        for key, value in {"content-type": "application/json", **headers}.items():
            request.send_header(key, value)
        request.send_header("content-length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _next_fault(self, line: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, line):
                    fault.times -= 1
                    return fault
        return None

    def _authenticate(self, header: str | None) -> None:
        scheme, _, token = (header or "").partition(" ")
        if scheme != "Bearer" or not TOKEN_FORM.fullmatch(token):
            raise Refused(400, 6003, "Invalid request headers")
        if token != self.token:
            raise Refused(403, 9109, "Invalid access token")

    def _route(self, method: str, path: str, body: Json | None) -> object:
        for pattern, serve in (
            (r"/accounts/(\w+)/cfd_tunnel", self._tunnels),
            (r"/accounts/(\w+)/cfd_tunnel/([\w-]+)", self._tunnel),
            (r"/accounts/(\w+)/cfd_tunnel/([\w-]+)/configurations", self._configuration),
            (r"/accounts/(\w+)/cfd_tunnel/([\w-]+)/token", self._token),
            (r"/zones/(\w+)/dns_records(?:/(\w+))?", self._dns_record),
            (r"/accounts/(\w+)/access/policies(?:/([\w-]+))?", self._policy),
            (r"/accounts/(\w+)/access/apps(?:/([\w-]+))?", self._application),
            (r"/accounts/(\w+)/access/organizations", self._organization),
            (r"/accounts/(\w+)/access/service_tokens(?:/([\w-]+))?", self._service_token),
        ):
            match = re.fullmatch(re.escape(PREFIX) + pattern, path)
            if match:
                owner, *rest = match.groups()
                if owner not in {self.account_id, self.zone_id}:
                    raise Refused(404, 7003, f"Could not route to {path}")
                result: object = serve(method, body, *rest)
                return result
        raise Refused(
            404, 7003, f"Could not route to {path}, perhaps your object identifier is invalid?"
        )

    def _organization(self, method: str, body: Json | None) -> Json:
        return {"name": "Example", "auth_domain": f"{TEAM}.cloudflareaccess.com"}

    # -- tunnels ----------------------------------------------------------------------------------

    def _tunnels(self, method: str, body: Json | None) -> Json:
        given = _demand(method, body, {"POST"}, {"name"}, {"name", "config_src", "tunnel_secret"})
        if given.get("config_src", "local") not in {"local", "cloudflare"}:
            raise Refused(400, 1002, "config_src must be local or cloudflare")
        if any(tunnel["name"] == given["name"] for tunnel in self.tunnels.values()):
            message = "You already have a tunnel with this name."
            raise Refused(409, 1013, message, {"x-should-retry": "false"})
        tunnel_id = str(uuid.uuid4())
        self.tunnel_secrets[tunnel_id] = base64.b64encode(secrets.token_bytes(32)).decode()
        self.tunnels[tunnel_id] = {
            "id": tunnel_id,
            "account_tag": self.account_id,
            "created_at": NOW,
            "deleted_at": None,
            "name": given["name"],
            "connections": [],
            "conns_active_at": None,
            "conns_inactive_at": None,
            "tun_type": "cfd_tunnel",
            "metadata": {},
            "remote_config": given.get("config_src") == "cloudflare",
            "config_src": given.get("config_src", "local"),
        }
        return self._tunnel("GET", None, tunnel_id)

    def _tunnel(self, method: str, body: Json | None, tunnel_id: str) -> Json:
        tunnel = _known(self.tunnels, tunnel_id, 1003, "tunnel")
        connected = self.is_connected(tunnel_id)
        if method == "DELETE":
            if connected:
                raise Refused(
                    400,
                    1022,
                    "Cannot delete tunnel because it has active connections. "
                    "Make sure all connections are gone first.",
                )
            del self.tunnels[tunnel_id], self.tunnel_secrets[tunnel_id]
            self.configurations.pop(tunnel_id, None)
        elif method == "PATCH":
            tunnel.update(_demand(method, body, {"PATCH"}, set(), {"name", "tunnel_secret"}))
        elif method != "GET":
            raise Refused(405, 10000, "Method not allowed")
        if not connected:
            return {**tunnel, "status": "inactive"}
        connection = {"id": tunnel_id, "colo_name": "fra01", "is_pending_reconnect": False}
        return {
            **tunnel,
            "status": "healthy",
            "conns_active_at": NOW,
            "connections": [connection],
        }

    def _configuration(self, method: str, body: Json | None, tunnel_id: str) -> Json:
        _known(self.tunnels, tunnel_id, 1003, "tunnel")
        if method == "PUT":
            given = _demand(method, body, {"PUT"}, {"config"}, {"config", "source"})
            _ensure_ingress_is_valid(given["config"])
            version = self.configurations.get(tunnel_id, {"version": 0})["version"] + 1
            self.configurations[tunnel_id] = {"version": version, "config": given["config"]}
        elif method != "GET":
            raise Refused(405, 10000, "Method not allowed")
        return {
            "account_id": self.account_id,
            "tunnel_id": tunnel_id,
            "source": "cloudflare",
            "created_at": NOW,
            **_with_server_values(self.configurations.get(tunnel_id)),
        }

    def _token(self, method: str, body: Json | None, tunnel_id: str) -> str:
        _known(self.tunnels, tunnel_id, 1003, "tunnel")
        return self.tunnel_token(tunnel_id)

    # -- DNS --------------------------------------------------------------------------------------

    def _dns_record(self, method: str, body: Json | None, record_id: str | None) -> Json:
        if method in {"POST", "PUT"}:
            given = _demand(
                method,
                body,
                {"POST", "PUT"},
                {"name", "type", "ttl", "content"},
                {"name", "type", "ttl", "content", "proxied", "comment", "settings", "tags"},
            )
            self._ensure_record_fits(given, record_id)
            known = self.records.get(record_id or "", {"id": secrets.token_hex(16)})
            self.records[known["id"]] = {
                "meta": {},
                "tags": [],
                "proxiable": True,
                "created_on": NOW,
                **known,
                **given,
                "settings": given.get("settings") or {"flatten_cname": False},
                "modified_on": NOW,
                "comment_modified_on": NOW,
                "tags_modified_on": None,
            }
            return self.records[known["id"]]
        record = _known(self.records, record_id or "", 81044, "record")
        if method == "DELETE":
            del self.records[record["id"]]
        return record

    def _ensure_record_fits(self, given: Json, record_id: str | None) -> None:
        name = given["name"]
        if not name.endswith(f".{self.zone_name}"):
            raise Refused(400, 9000, f"DNS name {name} is not in zone {self.zone_name}")
        if given.get("proxied") and given["ttl"] != 1:
            raise Refused(400, 9021, "ttl must be set to 1 when proxied is true")
        if any(r["name"] == name and r["id"] != record_id for r in self.records.values()):
            message = "An A, AAAA, or CNAME record with that host already exists."
            raise Refused(400, 81053, message)

    # -- Access -----------------------------------------------------------------------------------

    def _policy(self, method: str, body: Json | None, policy_id: str | None) -> Json:
        if method in {"POST", "PUT"}:
            given = _demand(
                method,
                body,
                {"POST", "PUT"},
                {"name", "decision"},
                {"name", "decision", "include", "exclude", "require", "session_duration"},
            )
            for rule in [*given.get("include", ()), *given.get("require", ())]:
                if len(rule) != 1:
                    raise Refused(400, 12130, "each rule needs exactly one selector")
                token = rule.get("service_token", {}).get("token_id")
                if token is not None:
                    _known(self.service_tokens, token, 12130, "service token")
            return _store(self.policies, policy_id, given, POLICY_DEFAULTS)
        policy = _known(self.policies, policy_id or "", 12134, "policy")
        if method == "DELETE":
            if any(policy["id"] in _policy_ids(app) for app in self.applications.values()):
                raise Refused(400, 12133, "policy is in use by an application")
            del self.policies[policy["id"]]
        return policy

    def _application(self, method: str, body: Json | None, application_id: str | None) -> Json:
        if method in {"POST", "PUT"}:
            given = _demand(
                method,
                body,
                {"POST", "PUT"},
                {"name", "type", "domain"},
                {
                    "name",
                    "type",
                    "domain",
                    "destinations",
                    "self_hosted_domains",
                    "policies",
                    "session_duration",
                    "service_auth_401_redirect",
                    "http_only_cookie_attribute",
                    *APPLICATION_DEFAULTS,
                },
            )
            for policy_id in _policy_ids(given):
                _known(self.policies, policy_id, 12130, "policy")
            stored = _store(
                self.applications,
                application_id,
                {**given, **_addresses(given)},
                {"aud": secrets.token_hex(32)},
            )
            return self._with_whole_policies(stored)
        application = _known(self.applications, application_id or "", 11021, "application")
        if method == "DELETE":
            del self.applications[application["id"]]
        return self._with_whole_policies(application)

    def _with_whole_policies(self, application: Json) -> Json:
        """An application as the API returns it: with its policies, not only their ids."""
        policies = [
            {**self.policies[used["id"]], "precedence": used.get("precedence", number)}
            for number, used in enumerate(application.get("policies", ()), start=1)
            if used["id"] in self.policies
        ]
        known = {key: value for key, value in application.items() if value is not None}
        return {**APPLICATION_DEFAULTS, **known, "policies": policies}

    def _service_token(self, method: str, body: Json | None, token_id: str | None) -> Json:
        if method in {"POST", "PUT"}:
            given = _demand(
                method,
                body,
                {"POST", "PUT"},
                {"name"},
                {"name", "duration", "client_secret_version", "enabled"},
            )
            computed = {"client_id": f"{secrets.token_hex(16)}.access", "expires_at": NOW}
            stored = _store(self.service_tokens, token_id, given, computed)
            if method == "PUT":
                return stored
            self.client_secrets[stored["id"]] = secrets.token_hex(32)
            return {**stored, "client_secret": self.client_secrets[stored["id"]]}
        token = _known(self.service_tokens, token_id or "", 12134, "service token")
        if method == "DELETE":
            used = {
                rule.get("service_token", {}).get("token_id")
                for policy in self.policies.values()
                for rule in policy.get("include", ())
            }
            if token["id"] in used:
                raise Refused(400, 12139, "service token is in use by a policy")
            del self.service_tokens[token["id"]]
        return token


def _with_server_values(configuration: Json | None) -> Json:
    """A configuration as the API returns it: with the values that nobody set."""
    if configuration is None:
        return {"version": 0, "config": None}
    config = {**configuration["config"], "warp-routing": {"enabled": False}}
    return {**configuration, "config": config}


def _addresses(given: Json) -> Json:
    """The three forms of an application's hostnames; the API derives each from the others."""
    destinations = given.get("destinations") or [{"type": "public", "uri": given["domain"]}]
    public = [one["uri"] for one in destinations if one.get("type", "public") == "public"]
    if given["domain"] not in public:
        raise Refused(400, 12130, "domain is not one of the destinations")
    return {"destinations": destinations, "self_hosted_domains": public}


def _policy_ids(application: Json) -> list[str]:
    return [policy["id"] for policy in application.get("policies", ())]


def _store(into: dict[str, Json], known_id: str | None, given: Json, computed: Json) -> Json:
    if known_id is None:
        known = {"id": str(uuid.uuid4()), "created_at": NOW, "updated_at": NOW, **computed}
    else:
        known = _known(into, known_id, 12134, "object")
    into[known["id"]] = {**known, **given}
    return into[known["id"]]


def _known(among: dict[str, Json], wanted: str, code: int, what: str) -> Json:
    if wanted not in among:
        raise Refused(404, code, f"{what} not found")
    return among[wanted]


def _demand(
    method: str, body: Json | None, methods: set[str], required: set[str], known: set[str]
) -> Json:
    """Refuse what the API refuses, and every key that the stack does not send."""
    if method not in methods:
        raise Refused(405, 10000, "Method not allowed")
    given = body or {}
    missing = required - given.keys()
    unknown = given.keys() - known
    if missing or unknown:
        raise Refused(400, 1001, f"missing {sorted(missing)}, unknown {sorted(unknown)}")
    return given


def _ensure_ingress_is_valid(config: Json) -> None:
    rules = config.get("ingress") or []
    if not rules or {"hostname", "path"} & rules[-1].keys():
        raise Refused(400, 1056, "The last ingress rule must match all URLs")
    for rule in rules:
        if not re.fullmatch(r"https?://[a-z0-9-]+:\d+|http_status:\d{3}", rule.get("service", "")):
            raise Refused(400, 1056, f"bad ingress service {rule.get('service')!r}")
    for key in (key for rule in rules for key in rule.get("originRequest", {})):
        if key not in ORIGIN_KEYS:
            raise Refused(400, 1056, f"unknown origin setting {key!r}")


# What the API returns for fields that were not set.
POLICY_DEFAULTS: Json = {
    "reusable": True,
    "app_count": 0,
    "exclude": [],
    "require": [],
    "approval_groups": [],
    "approval_required": False,
    "isolation_required": False,
    "purpose_justification_required": False,
}
# The provider reports `custom_pages` and `logo_url` as changes where the API returns them unset: its
# own acceptance tests show that the API leaves them out.
APPLICATION_DEFAULTS: Json = {
    "allowed_idps": [],
    "app_launcher_visible": True,
    "auto_redirect_to_identity": False,
    "cors_headers": None,
    "enable_binding_cookie": False,
    "options_preflight_bypass": False,
    "skip_app_launcher_login_page": False,
    "tags": [],
}
ORIGIN_KEYS = {
    "connectTimeout",
    "tcpKeepAlive",
    "keepAliveConnections",
    "keepAliveTimeout",
    "disableChunkedEncoding",
    "http2Origin",
    "httpHostHeader",
    "noTLSVerify",
    "noHappyEyeballs",
}


def _body(raw: bytes, content_type: str | None) -> Json | None:
    if not raw:
        return None
    if content_type != "application/json":
        raise Refused(415, 10000, f"content type {content_type!r}")
    try:
        body = json.loads(raw)
    except ValueError:
        raise Refused(400, 10000, "body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, 10000, "body is not an object")
    return body


def _success(result: object) -> Json:
    return {"result": result, "success": True, "errors": [], "messages": []}


def _failure(refused: Refused) -> Json:
    errors = [{"code": refused.code, "message": refused.message}]
    return {"result": None, "success": False, "errors": errors, "messages": []}
