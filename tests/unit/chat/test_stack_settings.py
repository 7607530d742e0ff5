"""A stack's gateway settings have the names, defaults and bounds that the gateway itself has."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from app.chat import settings as gateway
from components.config import gateway as stack

TEXTS = ("title", "description")


def fields(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Each field of a model as JSON schema describes it: name in snake case, default, bounds."""
    schema = model.model_json_schema(by_alias=False)
    return {
        name: {key: value for key, value in field.items() if key not in TEXTS}
        for name, field in schema["properties"].items()
    }


@pytest.mark.parametrize("section", ["Limits", "KeepAlive", "Breaker", "HealthChecks"])
def test_a_section_has_the_same_fields_defaults_and_bounds(section: str) -> None:
    assert fields(getattr(stack, section)) == fields(getattr(gateway, section))


def test_only_the_place_of_the_access_applications_is_not_a_setting_of_a_stack() -> None:
    stack_fields, gateway_fields = fields(stack.AccessSettings), fields(gateway.AccessSettings)
    del gateway_fields["applications"]
    assert stack_fields == gateway_fields


def test_each_key_of_a_stack_is_a_key_of_the_gateway() -> None:
    stack_fields, gateway_fields = fields(stack.GatewaySettings), fields(gateway.GatewaySettings)
    assert stack_fields == {name: gateway_fields[name] for name in stack_fields}


def test_the_other_keys_of_the_gateways_file_are_written_by_the_stack() -> None:
    rest = fields(gateway.GatewaySettings).keys() - fields(stack.GatewaySettings).keys()
    assert rest == {
        "models",
        "routers",
        "servers",
        "model_list",
        "requires_keys",
        "drain_seconds",
        "status_page",
    }


def test_the_settings_of_a_stack_are_a_valid_gateway_file() -> None:
    written = stack.GatewaySettings.model_validate(
        {"limits": {"queueSeconds": 30}, "corsOrigins": ["https://example.org"]}
    ).config()
    read = gateway.GatewaySettings.model_validate(written)
    assert read.limits.queue_seconds == 30
    assert read.cors_origins == ("https://example.org",)
