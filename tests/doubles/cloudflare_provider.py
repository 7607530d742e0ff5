"""A double of the Pulumi provider `cloudflare` 6.23.1 for the resource types of this project.

It implements Pulumi's provider protocol and sends requests to Cloudflare's API. Pulumi runs it as a
plugin: it prints its port and serves until it is stopped.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent import futures
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from tests.doubles.cloudflare_plan import UNKNOWN, apply, differences, plan, read
from tests.doubles.cloudflare_schema import (
    APPLICATION,
    DNS_RECORD,
    POLICY,
    SERVICE_TOKEN,
    TUNNEL,
    TUNNEL_CONFIG,
    Json,
    Schema,
)

VERSION = "6.23.1"
DEFAULT_URL = "https://api.cloudflare.com/client/v4/"
# Signatures of Pulumi's wire format (pulumi/sdk/go/common/resource: property_value, sig).
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
RETRIED = {408, 409, 429}


@dataclass(frozen=True)
class Kind:
    """One resource type: its attributes, API paths and methods."""

    schema: Schema
    path: str
    """Path of the collection; inputs are inserted into the braces."""
    required: tuple[str, ...]
    replaced_by: tuple[str, ...]
    update: str = "PUT"
    secret: tuple[str, ...] = ()
    item: str = "{path}/{id}"
    singleton: bool = False
    """Created by its update request and deleted only with its owner."""


KINDS = {
    "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared": Kind(
        schema=TUNNEL,
        path="accounts/{accountId}/cfd_tunnel",
        required=("accountId", "name"),
        replaced_by=("accountId", "configSrc"),
        update="PATCH",
        secret=("tunnelSecret",),
    ),
    "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig": Kind(
        schema=TUNNEL_CONFIG,
        path="accounts/{accountId}/cfd_tunnel/{tunnelId}/configurations",
        required=("accountId", "tunnelId"),
        replaced_by=("accountId", "tunnelId"),
        item="{path}",
        singleton=True,
    ),
    "cloudflare:index/dnsRecord:DnsRecord": Kind(
        schema=DNS_RECORD,
        path="zones/{zoneId}/dns_records",
        required=("zoneId", "name", "type", "ttl"),
        replaced_by=("zoneId", "type"),
    ),
    "cloudflare:index/zeroTrustAccessApplication:ZeroTrustAccessApplication": Kind(
        schema=APPLICATION,
        path="accounts/{accountId}/access/apps",
        required=("accountId",),
        replaced_by=("accountId",),
    ),
    "cloudflare:index/zeroTrustAccessPolicy:ZeroTrustAccessPolicy": Kind(
        schema=POLICY,
        path="accounts/{accountId}/access/policies",
        required=("accountId", "name", "decision"),
        replaced_by=("accountId",),
    ),
    "cloudflare:index/zeroTrustAccessServiceToken:ZeroTrustAccessServiceToken": Kind(
        schema=SERVICE_TOKEN,
        path="accounts/{accountId}/access/service_tokens",
        required=("accountId", "name"),
        replaced_by=("accountId",),
        secret=("clientSecret",),
    ),
}
TOKEN_FUNCTION = (
    "cloudflare:index/getZeroTrustTunnelCloudflaredToken:getZeroTrustTunnelCloudflaredToken"
)
ORGANIZATION_FUNCTION = "cloudflare:index/getZeroTrustOrganization:getZeroTrustOrganization"
# The path of the API, and the field of its result; None if the result is the token itself.
FUNCTIONS: dict[str, tuple[str, str | None]] = {
    TOKEN_FUNCTION: ("accounts/{accountId}/cfd_tunnel/{tunnelId}/token", None),
    ORGANIZATION_FUNCTION: ("accounts/{accountId}/access/organizations", "authDomain"),
}
# Lists that are plural in Pulumi, and names that snake case does not convert.
RENAMED = {
    "ingresses": "ingress",
    "includes": "include",
    "excludes": "exclude",
    "requires": "require",
    "noTlsVerify": "noTLSVerify",
    "matchSnItoHost": "matchSNItoHost",
    "serviceAuth401Redirect": "service_auth_401_redirect",
}
# The tunnel's configuration is the only document in camel case.
CAMEL = {"config"}


class ProviderError(Exception):
    """An error that Pulumi shows to the user."""


class Client:
    """An API client like cloudflare-go: bearer token, two retries, `Retry-After`."""

    def __init__(self, base_url: str, token: str) -> None:
        self._base = base_url if base_url.endswith("/") else f"{base_url}/"
        self._token = token
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def send(self, method: str, path: str, body: Json | None = None) -> Json:
        """The response body; raises `ProviderError`, or `KeyError` for 404 on a GET."""
        for attempt in range(3):
            last = attempt == 2
            try:
                return self._once(method, path, body)
            except urllib.error.HTTPError as error:
                text = error.read().decode("utf-8", "replace")
                if method == "GET" and error.code == 404:
                    raise KeyError(path) from None
                if last or not _retried(error):
                    url = f"{self._base}{path}"
                    message = f'{method} "{url}": {error.code} {error.reason} {text}'
                    raise ProviderError(message) from None
                time.sleep(_pause(error, attempt))
            except OSError as error:
                if last:
                    raise ProviderError(f'{method} "{self._base}{path}": {error}') from None
                time.sleep(_pause(None, attempt))
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: Json | None) -> Json:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(
            f"{self._base}{path}", data=data, headers=headers, method=method
        )
        with self._open(request, timeout=120) as answer:
            content = answer.read()
        envelope: Json = json.loads(content)
        return envelope


def _retried(error: urllib.error.HTTPError) -> bool:
    wish = error.headers.get("x-should-retry")
    return wish == "true" or (wish != "false" and (error.code in RETRIED or error.code >= 500))


def _pause(error: urllib.error.HTTPError | None, attempt: int) -> float:
    retry_after = error.headers.get("retry-after") if error else None
    if retry_after:
        return float(retry_after)
    return float(min(0.5 * 2**attempt, 8) * (1 - 0.25 * random.random()))


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Pulumi's resource provider service."""

    client: Client

    # -- setting up -------------------------------------------------------------------------------

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        schema = json.dumps({"name": "cloudflare", "version": VERSION})
        return provider_pb2.GetSchemaResponse(schema=schema)

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        failures = []
        token = _plain(request.news).get("apiToken")
        if token not in (None, UNKNOWN) and not re.fullmatch(r"[0-9A-Za-z\-_]{40,80}", token):
            reason = "API tokens must be between 40 and 80 characters of a-z, A-Z, 0-9, _ and -"
            failures.append(provider_pb2.CheckFailure(property="apiToken", reason=reason))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        args = _plain(request.args)
        self.client = Client(
            args.get("baseUrl") or os.environ.get("CLOUDFLARE_BASE_URL") or DEFAULT_URL,
            args.get("apiToken") or os.environ.get("CLOUDFLARE_API_TOKEN") or "",
        )
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=True)

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        return empty_pb2.Empty()

    # -- functions --------------------------------------------------------------------------------

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        args = _plain(request.args)
        if request.tok not in FUNCTIONS:
            _abort(context, f"the double does not implement the function {request.tok}")
        template, field = FUNCTIONS[request.tok]
        path = template.format(**args)
        try:
            result = self.client.send("GET", path)["result"]
        except (KeyError, ProviderError) as error:
            _abort(context, f"failed to make http request: {error}")
        # Like the real provider, return the token in plain text: the program marks it as a secret.
        found = {"token": result} if field is None else {field: result[_snake(field)]}
        answer = {"id": path, **args, **found}
        return provider_pb2.InvokeResponse(**{"return": _struct(answer)})

    # -- resources --------------------------------------------------------------------------------

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        kind_name, kind = _kind(request, context)
        inputs = _plain(request.news)
        failures = [
            provider_pb2.CheckFailure(property=key, reason=reason)
            for key, reason in _refusals(kind_name, kind, inputs)
        ]
        return provider_pb2.CheckResponse(inputs=_struct(inputs), failures=failures)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        _, kind = _kind(request, context)
        state, config = _plain(request.olds), _plain(request.news)
        planned = plan(kind.schema, state, config)
        changed = [
            key
            for key in differences(kind.schema, state, planned)
            if key not in request.ignoreChanges
        ]
        replaces = [key for key in changed if key in kind.replaced_by]
        some = provider_pb2.DiffResponse.DIFF_SOME
        none = provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some if changed else none, replaces=replaces, diffs=changed
        )

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        _, kind = _kind(request, context)
        planned = plan(kind.schema, {}, _plain(request.properties))
        if request.preview:
            return provider_pb2.CreateResponse(properties=_struct(planned))
        method = "PUT" if kind.singleton else "POST"
        result = self._send(context, method, _path(kind, planned), _body(kind, planned))
        resource_id = planned["tunnelId"] if kind.singleton else result.get("id")
        if not resource_id:
            _abort(context, "Provider produced an answer without an id")
        outputs = {"id": resource_id, **apply(kind.schema, planned, _from_api(result))}
        return provider_pb2.CreateResponse(id=resource_id, properties=_struct(outputs, kind.secret))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        _, kind = _kind(request, context)
        state, inputs = _plain(request.properties), _plain(request.inputs)
        try:
            result = self.client.send("GET", _item(kind, state, request.id))["result"]
        except KeyError:
            return provider_pb2.ReadResponse()
        except ProviderError as error:
            _abort(context, f"failed to make http request: {error}")
        in_path = {key: state[key] for key in re.findall(r"{(\w+)}", kind.path)}
        outputs = {"id": request.id, **read(kind.schema, _from_api(result), state), **in_path}
        current = {key: outputs[key] for key in inputs if key in outputs}
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=_struct(outputs, kind.secret),
            inputs=_struct(current, kind.secret),
        )

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        _, kind = _kind(request, context)
        state = _plain(request.olds)
        planned = plan(kind.schema, state, _plain(request.news))
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_struct(planned))
        body, before = _body(kind, planned), _body(kind, state)
        if kind.update == "PATCH":
            body = {key: value for key, value in body.items() if value != before.get(key)}
        else:
            # Removed values are sent as an explicit null.
            body.update(dict.fromkeys(before.keys() - _body(kind, planned, unknown=True).keys()))
        result = self._send(context, kind.update, _item(kind, planned, request.id), body)
        outputs = {"id": request.id, **apply(kind.schema, planned, _from_api(result))}
        return provider_pb2.UpdateResponse(properties=_struct(outputs, kind.secret))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        _, kind = _kind(request, context)
        if not kind.singleton:
            self._send(context, "DELETE", _item(kind, _plain(request.properties), request.id))
        return empty_pb2.Empty()

    def _send(
        self, context: grpc.ServicerContext, method: str, path: str, body: Json | None = None
    ) -> Json:
        try:
            result: Json = self.client.send(method, path, body)["result"] or {}
            return result
        except ProviderError as error:
            _abort(context, f"failed to make http request: {error}")


def _kind(request: Any, context: grpc.ServicerContext) -> tuple[str, Kind]:
    token = request.urn.split("::")[-2].split("$")[-1]
    if token not in KINDS:
        _abort(context, f"the double does not implement the resource {token}")
    return token.split(":")[-1], KINDS[token]


def _abort(context: grpc.ServicerContext, message: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, message)
    raise AssertionError("abort raises")


def _refusals(kind_name: str, kind: Kind, inputs: Json) -> list[tuple[str, str]]:
    """The errors of the provider's validators, before any request."""
    refusals = [
        (key, f"Missing required argument {key!r}") for key in kind.required if key not in inputs
    ]
    if kind_name == "DnsRecord" and inputs.get("proxied") and inputs.get("ttl") != 1:
        refusals.append(("ttl", "ttl must be set to 1 when `proxied` is true"))
    for rule in inputs.get("includes", ()):
        if isinstance(rule, dict) and len(rule) != 1:
            refusals.append(("includes", "exactly one selector in each rule"))
    source = inputs.get("configSrc")
    if source not in (None, "local", "cloudflare", UNKNOWN):
        refusals.append(("configSrc", f"expected local or cloudflare, got {source!r}"))
    return refusals


def _path(kind: Kind, values: Json) -> str:
    return kind.path.format(**values)


def _item(kind: Kind, values: Json, resource_id: str) -> str:
    return kind.item.format(path=_path(kind, values), id=resource_id)


def _body(kind: Kind, values: Json, *, unknown: bool = False) -> Json:
    """All known fields that are not in the path and that a program may set."""
    left_out = {*re.findall(r"{(\w+)}", kind.path), *kind.schema.computed}
    return {
        _snake(key): _camel_document(value) if key in CAMEL else _snake_document(value)
        for key, value in values.items()
        if key in kind.schema.names - left_out and (unknown or value != UNKNOWN)
    }


def _from_api(result: Json) -> Json:
    return {
        _camel(key): _plural_document(value) if key in CAMEL else _camel_keys(value)
        for key, value in result.items()
    }


def _snake(key: str) -> str:
    return RENAMED.get(key) or re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower()


def _camel(key: str) -> str:
    known = {theirs: ours for ours, theirs in RENAMED.items()}
    if key in known:
        return known[key]
    first, *rest = key.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _snake_document(value: Any) -> Any:
    if isinstance(value, dict):
        return {_snake(key): _snake_document(item) for key, item in value.items()}
    return [_snake_document(item) for item in value] if isinstance(value, list) else value


def _camel_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_camel(key): _camel_keys(item) for key, item in value.items()}
    return [_camel_keys(item) for item in value] if isinstance(value, list) else value


def _camel_document(value: Any) -> Any:
    if isinstance(value, dict):
        return {RENAMED.get(key, key): _camel_document(item) for key, item in value.items()}
    return [_camel_document(item) for item in value] if isinstance(value, list) else value


def _plural_document(value: Any) -> Any:
    known = {theirs: ours for ours, theirs in RENAMED.items()}
    if isinstance(value, dict):
        return {known.get(key, key): _plural_document(item) for key, item in value.items()}
    return [_plural_document(item) for item in value] if isinstance(value, list) else value


def _plain(properties: struct_pb2.Struct) -> Json:
    """A protobuf struct as Python values; secrets unwrapped, whole numbers as int."""
    opened: Json = _opened(json_format.MessageToDict(properties))
    return opened


def _opened(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return _opened(value["value"])
        return {key: _opened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_opened(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _struct(values: Json, secret: tuple[str, ...] = ()) -> struct_pb2.Struct:
    marked = {
        key: {SIGNATURE: SECRET, "value": value} if key in secret and value is not None else value
        for key, value in values.items()
    }
    return json_format.ParseDict(marked, struct_pb2.Struct())


def main() -> None:
    """Serve on a free port and print it for Pulumi."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    # Pulumi stops its plugins with a signal or by exiting.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    server.wait_for_termination()


def _exit_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    main()
    sys.exit(0)
