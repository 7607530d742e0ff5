"""When programs of a Swarm stack first show a change of their lists."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.integration.swarm.conftest import SwarmStack
from tests.integration.swarm.rig import Swarm

URLS = {
    "chat-interface": "http://127.0.0.1:8080/v1/models",
    "monitor": "http://127.0.0.1:8090/api/v1/status",
}


def containers_of(swarm: Swarm, stack: SwarmStack, service: str) -> list[Any]:
    """All containers of a service, on all nodes."""
    labels = [f"llm-stack.stack={stack.name}", f"llm-stack.service={service}"]
    return [
        container
        for node in swarm.nodes
        for container in node.client().containers.list(filters={"label": labels})
    ]


def started(swarm: Swarm, stack: SwarmStack) -> dict[str, str]:
    """When each container of the programs was started: another time after a restart."""
    return {
        container.id: container.attrs["State"]["StartedAt"]
        for service in URLS
        for container in containers_of(swarm, stack, service)
    }


def ask(container: Any, url: str, body: bytes | None = None) -> str:
    """What a container gets from a URL, or its error."""
    request = f"r.Request({url!r}, {body!r}, {{'content-type': 'application/json'}})"
    program = f"import urllib.request as r; print(r.urlopen({request}, timeout=60).read().decode())"
    _, output = container.exec_run(["python3", "-c", program])
    assert isinstance(output, bytes)
    return output.decode()


@contextmanager
def watched(
    swarm: Swarm, stack: SwarmStack, text: str, *, shown: bool
) -> Iterator[dict[str, float]]:
    """Yield a dict that receives, by container, when it first showed the text or showed it no more."""
    seen: dict[str, float] = {}
    ended = threading.Event()

    def watch(container: Any, url: str) -> None:
        while not ended.is_set():
            answer = ask(container, url)
            if answer.startswith("{") and (text in answer) is shown:
                seen[container.name] = time.time()
                return

    threads = [
        threading.Thread(target=watch, args=(container, url))
        for service, url in URLS.items()
        for container in containers_of(swarm, stack, service)
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
        for thread in threads:
            thread.join(30)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
