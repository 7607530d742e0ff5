"""Whether models can be fetched from here, and what dev runs where they cannot."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from . import reachability
from .project import NAME

STAND_IN_MODEL = "tiny"
STAND_IN_KEY = f"{NAME}:standInModel"


def endpoint(environ: Mapping[str, str] = os.environ) -> str:
    """The hub that `huggingface_hub` would ask."""
    return environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def reachable(probe: reachability.Probe = reachability.answers) -> bool:
    """Whether the hub answers."""
    return probe(endpoint())


def configured_stand_in(stack_config: str) -> str | None:
    """The stand-in model that the text of a stack's settings file names."""
    match = re.search(rf"^ +{STAND_IN_KEY}: *(\S+)$", stack_config, re.MULTILINE)
    return match[1].strip("\"'") if match else None
