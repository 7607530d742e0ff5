"""Clients in a stack's network that send requests to its gateway until they are stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.conftest import StackUnderTest

CHAT = "chat-interface"
_PROGRAM = Path(__file__).parents[1] / "doubles" / "steady_clients.py"


@contextmanager
def steady_clients(
    stack: StackUnderTest, key: str | None = None, *, tokens: int = 800
) -> Iterator[dict[str, Any]]:
    """Run the clients; yield a dict that receives their results.

    :param key: an API key; None for none.
    :param tokens: of each stream. Two slots serve four streams in turn, so the last one takes as
        long as two.
    """
    seen: dict[str, Any] = {}
    container = stack.engine.containers.run(
        stack.containers()[CHAT].attrs["Image"],
        [
            "-c",
            _PROGRAM.read_text(encoding="utf-8"),
            f"http://{CHAT}:8080",
            "phi-3-mini",
            str(tokens),
        ],
        entrypoint=["python3"],
        detach=True,
        environment={"API_KEY": key} if key else {},
        network=stack.outputs()["network"],
        labels={"llm-stack.stack": stack.name, "llm-stack.service": "clients"},
    )
    try:
        yield seen
        container.kill("SIGTERM")
        assert container.wait(timeout=120)["StatusCode"] == 0, container.logs(stdout=False)
        seen.update(json.loads(container.logs(stderr=False)))
    finally:
        container.remove(force=True)
