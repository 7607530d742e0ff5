"""The labels by which people and the restarter find what belongs to a stack."""

from __future__ import annotations

from typing import TypedDict

import pulumi

STACK = "llm-stack.stack"
SERVICE = "llm-stack.service"
CONTENTS = "llm-stack.contents"


class Label(TypedDict):
    """A label in the form that every label type of the Docker provider takes."""

    label: str
    value: pulumi.Input[str]


def stack_label(stack: str) -> Label:
    """Marks a container, volume or network as one of a stack."""
    return {"label": STACK, "value": stack}


def service_label(service: str) -> Label:
    """Marks a container or volume as one of a service."""
    return {"label": SERVICE, "value": service}


def contents_label(identity: pulumi.Input[str]) -> Label:
    """Marks a volume of files with an id of their contents, which does not reveal them."""
    return {"label": CONTENTS, "value": identity}
