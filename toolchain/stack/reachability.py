"""Asks whether a host on the network answers, within seconds."""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable

SECONDS = 5.0

Probe = Callable[[str], bool]


def is_loopback(host: str) -> bool:
    """Whether a host is the machine that asks: in a container, the container itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def answers(url: str) -> bool:
    """Whether any HTTP answer comes back: a refusal is an answer, a gateway's error is none."""
    try:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "llm-stack"})
        with urllib.request.urlopen(request, timeout=SECONDS):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return error.code < 500
    except (OSError, http.client.HTTPException, ssl.SSLError, ValueError):
        # ValueError: HF_ENDPOINT may not be a URL.
        return False
