"""The model hub that models are downloaded from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from toolchain.stack.reachability import is_loopback
from toolchain.terminal.errors import SetupError

DEFAULT = "https://huggingface.co"


def endpoint(environ: Mapping[str, str] = os.environ) -> str:
    """The hub in HF_ENDPOINT, or the default of huggingface_hub; raises `SetupError`."""
    hub = environ.get("HF_ENDPOINT", "").rstrip("/") or DEFAULT
    if not hub.startswith(("http://", "https://")):
        raise SetupError(
            f"HF_ENDPOINT is not a valid URL; found {hub!r}; run: export HF_ENDPOINT=https://{hub}"
        )
    return hub


def is_on_this_machine(url: str) -> bool:
    """Whether the URL points to the container itself when used in a container."""
    return is_loopback(urlsplit(url).hostname or "")
