"""Host ports for servers and containers that the tests start."""

from __future__ import annotations

import random
import socket

# Below the ports that Linux (net.ipv4.ip_local_port_range) gives to clients and Docker to
# containers: such a port may be taken before the test's server listens.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A free port on the loopback."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
