"""Checks within seconds whether a host on the network responds."""

from __future__ import annotations

import http.client
import ipaddress
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

SECONDS = 5.0

Probe = Callable[[str], bool]


def is_loopback(host: str) -> bool:
    """Whether a host is a loopback address: in a container, that is the container itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_reachable(url: str) -> bool:
    """Whether a URL responds within `SECONDS`; a client error is a response, a server error is not.

    The timeout of a request applies to each address of a host and not to the name lookup, so the
    request runs in a thread with a deadline.
    """
    responded = threading.Event()

    def request() -> None:
        if _responds(url):
            responded.set()
        finished.set()

    finished = threading.Event()
    threading.Thread(target=request, daemon=True).start()
    finished.wait(SECONDS)
    return responded.is_set()


def _responds(url: str) -> bool:
    try:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "llm-stack"})
        with urllib.request.urlopen(request, timeout=SECONDS):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return error.code < 500
    except (OSError, http.client.HTTPException, ValueError):
        # ValueError: the URL is invalid.
        return False
