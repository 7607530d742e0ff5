"""The labels of a stack's containers, volumes and networks.

app/restarter, toolchain and policy run without this package and repeat the names; a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import pulumi

STACK = "llm-stack.stack"
SERVICE = "llm-stack.service"
CONTENTS = "llm-stack.contents"
FILES = "llm-stack.files"
LOOSENED = "llm-stack.loosened"
TEMPORARY = "llm-stack.temporary"


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


def files_label(version: pulumi.Input[str]) -> Label:
    """Marks a container with the version of its files, so that another one replaces it."""
    return {"label": FILES, "value": version}


def temporary_labels(stack: str, purpose: str) -> dict[str, str]:
    """Marks a container that an update makes and removes itself, so that a later one finds it.

    :param purpose: the name of the volume, or the id of the container, that it is for.
    """
    return {STACK: stack, TEMPORARY: purpose}


def loosened_label(loosened: Mapping[str, str]) -> Label:
    """Marks a container with what its entry in the catalogue opens, for the policy pack."""
    return {"label": LOOSENED, "value": "; ".join(f"{k}={v}" for k, v in sorted(loosened.items()))}
