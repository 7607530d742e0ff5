"""Asks a service over its network, for a container whose image has no health check."""

from __future__ import annotations

import contextlib
import secrets
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from components.runtime.labels import STACK, temporary_labels

# Asks until the service answers, or until the time is over. Arguments: the URL, and seconds.
_PROGRAM = """
import socket, sys, time, urllib.parse, urllib.request
url, seconds = sys.argv[1], float(sys.argv[2])
place = urllib.parse.urlsplit(url)
deadline = time.monotonic() + seconds
while time.monotonic() < deadline:
    try:
        if place.scheme == "tcp":
            socket.create_connection((place.hostname, place.port), timeout=5).close()
        else:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            opener.open(url, timeout=5).close()
        sys.exit(0)
    except (OSError, ValueError) as error:
        print(getattr(error, "reason", None) or error, flush=True)
        time.sleep(0.5)
sys.exit(1)
"""


class Question:
    """A container that asks another one for as long as the block lasts.

    The machine that runs Pulumi may reach no container, as with an engine elsewhere or in a virtual
    machine. The asked container's address is used, since its name may also be its predecessor's.
    """

    def __init__(
        self, client: DockerClient, asked: Container, url: str, image: str, seconds: int
    ) -> None:
        self._client = client
        self._asked = asked
        self._url = url
        self._image = image
        self._seconds = seconds
        self._asking: Container | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def passes(self) -> bool:
        """Whether the service has answered. Does not wait."""
        network, address = network_of(self._asked.attrs)
        if not address:
            # Without an address its program does not run (yet, or any more).
            self._stop()
            return False
        if self._asking is None:
            self._asking = self._ask(network, address)
        try:
            self._asking.reload()
        except NotFound:
            self._asking = None
            return False
        state = self._asking.attrs["State"]
        return bool(state["Status"] == "exited" and state["ExitCode"] == 0)

    def reason(self) -> str:
        """What has been asked, and the last answer."""
        place = urlsplit(self._url)
        what = f"port {place.port}" if place.scheme == "tcp" else f"port {place.port}, {place.path}"
        lines = self._asking.logs(tail=1).decode("utf-8", "replace") if self._asking else ""
        return f"{what}: {lines.strip() or 'no answer'}"

    def _ask(self, network: str, address: str) -> Container:
        url = self._url.format(address=address)
        labels = self._asked.attrs["Config"].get("Labels") or {}
        stack = labels.get(STACK, "llm-stack")
        return self._client.containers.run(
            self._image,
            name=f"{stack}-question-{secrets.token_hex(4)}",
            labels=temporary_labels(stack, str(self._asked.id)),
            entrypoint=["python3", "-IS", "-c", _PROGRAM],
            command=[url, str(self._seconds)],
            detach=True,
            network=network,
            user="10001:10001",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            mem_limit="64m",
            healthcheck={"test": ["NONE"]},
        )

    def _stop(self) -> None:
        if self._asking is not None:
            with contextlib.suppress(APIError):
                self._asking.remove(force=True)
            self._asking = None


def network_of(attrs: dict[str, Any]) -> tuple[str, str]:
    """The first network of a container, and its address there; empty while it does not run."""
    for name, network in (attrs["NetworkSettings"].get("Networks") or {}).items():
        return name, network.get("IPAddress") or network.get("GlobalIPv6Address") or ""
    return "", ""
