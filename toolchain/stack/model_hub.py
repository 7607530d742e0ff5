"""The model hub that models are fetched from here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from toolchain.stack.reachability import is_loopback

DEFAULT = "https://huggingface.co"


def endpoint(environ: Mapping[str, str] = os.environ) -> str:
    """The hub that this shell's HF_ENDPOINT names, as huggingface_hub reads it, or its own."""
    return environ.get("HF_ENDPOINT", "").rstrip("/") or DEFAULT


def is_on_this_machine(url: str) -> bool:
    """Whether a container would look for the hub inside itself."""
    return is_loopback(urlsplit(url).hostname or "")
