"""What a program declares at Cloudflare, applied by the doubles without an engine."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NoReturn

from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2

from tests.doubles.cloudflare_api import CloudflareApi
from tests.doubles.cloudflare_provider import Client, Provider
from tests.doubles.recording_engine import Graph, Registration

Json = dict[str, Any]


class _Context:
    """A gRPC context whose errors are exceptions."""

    def abort(self, code: object, details: str) -> NoReturn:
        raise AssertionError(details)


@dataclass
class CloudflareStack:
    """The state of a stack's resources at Cloudflare: created, refreshed, and compared."""

    api: CloudflareApi
    state: dict[str, Json] = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._provider = Provider()
        self._provider.client = Client(self.api.url, self.api.token)

    def up(self, graph: Graph) -> list[str]:
        """Create new resources, update those that differ; return the names of the latter."""
        updated = self.changes(graph)
        for resource in _resources(graph):
            inputs = _struct(self._inputs(resource))
            if resource.name not in self.state:
                made: Any = self._provider.Create(
                    provider_pb2.CreateRequest(urn=_urn(resource), properties=inputs), _Context()
                )
                self._ids[resource.name] = made.id
            elif resource.name in updated:
                made = self._provider.Update(
                    provider_pb2.UpdateRequest(
                        id=self._ids[resource.name],
                        urn=_urn(resource),
                        olds=_struct(self.state[resource.name]),
                        news=inputs,
                    ),
                    _Context(),
                )
            else:
                continue
            self.state[resource.name] = json_format.MessageToDict(made.properties)
        return updated

    def refresh(self, graph: Graph) -> None:
        """Read every resource, as `pulumi refresh` does."""
        for resource in _resources(graph):
            answer = self._provider.Read(
                provider_pb2.ReadRequest(
                    id=self._ids[resource.name],
                    urn=_urn(resource),
                    properties=_struct(self.state[resource.name]),
                    inputs=_struct(self._inputs(resource)),
                ),
                _Context(),
            )
            self.state[resource.name] = json_format.MessageToDict(answer.properties)

    def changes(self, graph: Graph) -> list[str]:
        """Names of the resources that the next `pulumi up` updates or replaces."""
        return [
            resource.name
            for resource in _resources(graph)
            if resource.name in self.state
            and self._provider.Diff(
                provider_pb2.DiffRequest(
                    id=self._ids[resource.name],
                    urn=_urn(resource),
                    olds=_struct(self.state[resource.name]),
                    news=_struct(self._inputs(resource)),
                ),
                _Context(),
            ).diffs
        ]

    def _inputs(self, resource: Registration) -> Json:
        """Inputs with the ids that the API made instead of those of Pulumi's mocks."""
        text = json.dumps(resource.inputs)
        for name in sorted(self._ids, key=len, reverse=True):
            text = text.replace(f'"{name}-id', f'"{self._ids[name]}')
        inputs: Json = json.loads(text)
        return inputs


def _resources(graph: Graph) -> list[Registration]:
    return [one for one in graph.resources if one.type.startswith("cloudflare:")]


def _urn(resource: Registration) -> str:
    return f"urn:pulumi:prod::llm-stack::{resource.type}::{resource.name}"


def _struct(values: Json) -> struct_pb2.Struct:
    return json_format.ParseDict(values, struct_pb2.Struct())
