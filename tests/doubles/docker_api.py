"""A Docker engine on a Unix socket that knows some containers and keeps what it was asked."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


def container(number: int = 1, **changes: Any) -> dict[str, Any]:
    """What ContainerInspect answers; the changes are state, health, labels and so on."""
    labels = {"llm-stack.stack": "dev", "llm-stack.service": "phi-inference"}
    facts: dict[str, Any] = {
        "Id": f"{number:064x}",
        "Name": f"/phi-{number}",
        "RestartCount": changes.get("restart_count", 0),
        "State": {
            "Status": "running",
            "StartedAt": "2026-01-01T00:00:00.123456789Z",
            "ExitCode": 0,
            "OOMKilled": False,
            "Error": "",
        }
        | changes.get("state", {}),
        "HostConfig": {"RestartPolicy": {"Name": changes.get("policy", "no")}},
        "Config": {"Labels": changes.get("labels", labels)},
    }
    if "health" in changes:
        facts["State"]["Health"] = changes["health"]
        facts["Config"]["Healthcheck"] = {"Interval": 10 * 10**9, "Timeout": 5 * 10**9}
    return facts


class FakeDocker:
    def __init__(self) -> None:
        self.containers: list[dict[str, Any]] = []
        self.restarted: list[str] = []
        self.asked: list[str] = []
        self.restart_status = 204
        self.filters_work = True
        self.restarting = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def answer(self, method: str, target: str) -> tuple[int, Any]:
        self.asked.append(f"{method} {target}")
        url = urlsplit(target)
        if (method, url.path) == ("GET", "/_ping"):
            return 200, "OK"
        if (method, url.path) == ("GET", "/containers/json"):
            return 200, [{"Id": found["Id"]} for found in self.matching(parse_qs(url.query))]
        known = {found["Id"]: found for found in self.containers}
        _, _, identity, verb = url.path.split("/")
        if identity not in known:
            return 404, {"message": "No such container"}
        if (method, verb) == ("GET", "json"):
            return 200, known[identity]
        assert (method, verb) == ("POST", "restart")
        self.restarting.set()
        self.gate.wait(10)
        self.restarted.append(known[identity]["Name"])
        return self.restart_status, {"message": "cannot restart"}

    def matching(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        assert query["all"] == ["1"]
        wanted = json.loads(query["filters"][0])["label"]
        return [
            found
            for found in self.containers
            if not self.filters_work
            or set(wanted) <= {f"{k}={v}" for k, v in found["Config"]["Labels"].items()}
        ]


@contextmanager
def docker_at(path: Path) -> Iterator[FakeDocker]:
    docker = FakeDocker()

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            status, body = docker.answer(self.command, self.path)
            data = b"" if status == 204 else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do

        def address_string(self) -> str:
            return "socket"

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with Server(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield docker
        finally:
            docker.gate.set()
            server.shutdown()
