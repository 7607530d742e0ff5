"""JSON schemas of services.yaml and of a stack's settings, for editors.

`python -m components.plan.json_schema` writes them to docs/schema/; a test compares the files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from components.config.alerts import WEBHOOK_PREFIX
from components.config.model import Model
from components.config.named_secrets import GeneratedSecretSettings
from components.config.stack_secrets import NAMED_SECRETS, SECRET_KEYS, TUNNEL_TOKEN_PREFIX
from components.config.stack_settings import PROJECT, StackSettings
from components.kinds.catalogue import EXTENSION
from components.kinds.registry import kinds

FOLDER = Path("docs/schema")
DIALECT = GenerateJsonSchema.schema_dialect
_SECRET = {
    "type": "object",
    "properties": {"secure": {"type": "string"}},
    "required": ["secure"],
    "additionalProperties": False,
}


def schemas() -> dict[str, dict[str, Any]]:
    """Each schema by its file's name."""
    return {"services.json": catalogue_schema(), "stack.json": stack_schema()}


def catalogue_schema() -> dict[str, Any]:
    """The schema of services.yaml: models, and services by kind."""
    definitions: dict[str, Any] = {}
    model = _hoisted(Model.model_json_schema(), definitions)
    secret = _hoisted(GeneratedSecretSettings.model_json_schema(), definitions)
    services = [
        {**schema, "required": ["kind", *schema.get("required", [])]}
        for kind in kinds().values()
        for schema in [_hoisted(kind.model_json_schema(), definitions)]
    ]
    return {
        "$schema": DIALECT,
        "title": "The catalogue of models and services",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "models": {"type": "object", "additionalProperties": model},
            "services": {"type": "object", "additionalProperties": {"oneOf": services}},
            "secrets": {"type": "object", "additionalProperties": secret},
        },
        "patternProperties": {f"^{EXTENSION}": True},
        "$defs": definitions,
    }


def stack_schema() -> dict[str, Any]:
    """The schema of Pulumi.<stack>.yaml, of which this project owns the keys `llm-stack:…`."""
    definitions: dict[str, Any] = {}
    settings = _hoisted(StackSettings.model_json_schema(by_alias=True), definitions)
    prefixes = (TUNNEL_TOKEN_PREFIX, WEBHOOK_PREFIX)
    return {
        "$schema": DIALECT,
        "title": "The settings of a stack",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "required": [f"{PROJECT}:services"],
                "properties": {
                    **{f"{PROJECT}:{key}": value for key, value in settings["properties"].items()},
                    **{f"{PROJECT}:{key}": _SECRET for key in SECRET_KEYS},
                    f"{PROJECT}:{NAMED_SECRETS}": {
                        "type": "object",
                        "additionalProperties": _SECRET,
                    },
                },
                "patternProperties": {
                    **{f"^{PROJECT}:{prefix}": _SECRET for prefix in prefixes},
                    f"^(?!{PROJECT}:)": True,
                },
                "additionalProperties": False,
            }
        },
        "$defs": definitions,
    }


def _hoisted(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A schema whose definitions are moved to those of the whole file."""
    definitions.update(schema.pop("$defs", {}))
    return schema


def text_of(schema: dict[str, Any]) -> str:
    """A schema as its file has it."""
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (FOLDER / name).write_text(text_of(schema), encoding="utf-8")
