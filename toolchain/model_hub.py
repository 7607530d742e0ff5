"""The model hub that models are fetched from here."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

DEFAULT = "https://huggingface.co"


def endpoint(environ: Mapping[str, str] = os.environ) -> str:
    """The hub that this shell's HF_ENDPOINT names, as huggingface_hub reads it, or its own."""
    return environ.get("HF_ENDPOINT", "").rstrip("/") or DEFAULT


def is_on_this_machine(url: str) -> bool:
    """Whether a container would look for the hub inside itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
