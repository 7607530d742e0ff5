"""How the Cloudflare provider plans a resource and reads one back.

The rules are those of OpenTofu's proposed state, of terraform-plugin-framework, and of the plan
modifiers and normalizations in terraform-provider-cloudflare's services.
"""

from __future__ import annotations

import json
from typing import Any

from tests.doubles.cloudflare_schema import APPLICATION, DNS_RECORD, Json, Schema

# How Pulumi's wire format marks a value that is not known yet.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def plan(schema: Schema, prior: Json, config: Json) -> Json:
    """The state after an update with this configuration; `prior` is empty for a new resource."""
    planned = {
        key: value
        for key in schema.names
        if (value := _proposed(schema, key, prior, config)) is not None
    }
    for key, value in schema.defaults.items():
        if key not in config:
            planned[key] = value
    if differences(schema, prior, planned):
        for key in schema.computed | schema.either:
            if key not in config and key not in schema.defaults:
                planned[key] = prior.get(key, UNKNOWN) if key in schema.kept else UNKNOWN
    if schema is APPLICATION:
        _plan_application(planned, prior, config)
    if schema is DNS_RECORD:
        _plan_record(planned, prior)
        planned = _with_settings(schema, planned)
    return {key: value for key, value in planned.items() if value is not None}


def _proposed(schema: Schema, key: str, prior: Json, config: Json) -> Any:
    """The value before the provider's own rules."""
    if key in config or key in schema.configured:
        return config.get(key)
    value = prior.get(key)
    # Objects in the state with a value that only a program can have set: the program had set the
    # list, and does not any more.
    if key == "destinations" and any(item.keys() - {"type"} for item in value or ()):
        return None
    return value


def _plan_application(planned: Json, prior: Json, config: Json) -> None:
    together = ("domain", "selfHostedDomains", "destinations")
    moved = not prior or any(
        planned.get(key) != UNKNOWN and not same(APPLICATION, key, planned.get(key), prior.get(key))
        for key in together
    )
    for key in together:
        if not moved:
            planned[key] = prior.get(key)
        elif planned.get(key) is None:
            planned[key] = UNKNOWN
    for key, value in {
        "appLauncherVisible": True,
        "httpOnlyCookieAttribute": True,
        "sessionDuration": "24h",
        "skipAppLauncherLoginPage": None,
    }.items():
        if planned.get(key) == UNKNOWN:
            planned[key] = value
    last = 0
    policies = []
    for policy in planned.get("policies") or ():
        last = policy.get("precedence", last + 1)
        policies.append({**policy, "precedence": last})
    if policies:
        planned["policies"] = policies
    if "tags" not in config:
        planned.pop("tags", None)


def _plan_record(planned: Json, prior: Json) -> None:
    if prior:
        for key in ("createdOn", "proxiable", "meta", "settings"):
            if planned.get(key) in (None, UNKNOWN):
                planned[key] = prior.get(key)
        if planned.get("tags") == UNKNOWN and not prior.get("tags"):
            planned["tags"] = prior.get("tags")
        if planned.get("comment") == prior.get("comment"):
            planned["commentModifiedOn"] = prior.get("commentModifiedOn")
    if not planned.get("tags"):
        planned["tagsModifiedOn"] = None
    if not planned.get("comment"):
        planned["commentModifiedOn"] = None


def apply(schema: Schema, planned: Json, answer: Json) -> Json:
    """The state after a create or update: as planned, with what the API computed."""
    state = {key: value for key, value in planned.items() if value != UNKNOWN}
    for key in schema.computed | schema.either:
        is_computed = key in schema.computed or planned.get(key) == UNKNOWN
        value = _answered(schema, key, answer)
        if is_computed and value is not None:
            state[key] = value
    return _with_settings(schema, state)


def read(schema: Schema, answer: Json, prior: Json) -> Json:
    """The state after a refresh: an answer of the API, in Pulumi's names."""
    state: Json = {}
    for key in schema.names:
        value, before = _answered(schema, key, answer), prior.get(key)
        equal = (key in schema.empty_is_absent and not value and not before) or (
            key in schema.true_is_absent and value is not False and before is not False
        )
        if key in schema.unread or equal:
            value = before
        if value is not None:
            state[key] = value
    if schema is APPLICATION:
        _keep_only_references(state.get("policies", []), prior.get("policies", []))
    return _with_settings(schema, state)


def _with_settings(schema: Schema, state: Json) -> Json:
    """A CNAME record's settings that the API leaves out are false."""
    if schema is DNS_RECORD and state["type"] == "CNAME" and state.get("settings") != UNKNOWN:
        off = {"flattenCname": False, "ipv4Only": False, "ipv6Only": False}
        return {**state, "settings": {**off, **(state.get("settings") or {})}}
    return state


def _answered(schema: Schema, key: str, answer: Json) -> Any:
    """An attribute of an answer, as the provider decodes it."""
    value = _known(answer.get(key), schema.elements.get(key))
    return _text(value) if key in schema.texts and value is not None else value


def _keep_only_references(policies: list[Json], prior: list[Json]) -> None:
    """A policy that the state has by its id stays an id, though the API returns it whole."""
    for policy, before in zip(policies, prior, strict=False):
        for key in policy.keys() - before.keys() - {"precedence"}:
            del policy[key]


def _known(value: Any, fields: Json | None) -> Any:
    """A value without nulls, and without attributes that the schema does not have."""
    if isinstance(value, list):
        return [_known(item, fields) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: known
        for key, item in value.items()
        if fields is None or key in fields
        if (known := _known(item, (fields or {}).get(key))) is not None
    }


def differences(schema: Schema, prior: Json, planned: Json) -> list[str]:
    """The attributes that an update would change."""
    keys = sorted(schema.names & (prior.keys() | planned.keys()))
    return [key for key in keys if not same(schema, key, planned.get(key), prior.get(key))]


def same(schema: Schema, key: str, one: Any, other: Any) -> bool:
    """Whether two values of an attribute are equal; a null equals an absent value."""
    one, other = _known(one, None), _known(other, None)
    if key in schema.sets and isinstance(one, list) and isinstance(other, list):
        return sorted(map(_text, one)) == sorted(map(_text, other))
    return bool(one == other)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
