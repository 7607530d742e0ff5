"""Docker Engine API on a Unix socket, with a list of containers; records its requests."""

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
    """A ContainerInspect response; `changes` are state, health, labels and so on."""
    labels = {"llm-stack.stack": "dev", "llm-stack.service": "phi-inference"}
    details: dict[str, Any] = {
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
        details["State"]["Health"] = changes["health"]
        details["Config"]["Healthcheck"] = {"Interval": 10 * 10**9, "Timeout": 5 * 10**9}
    return details


class FakeDocker:
    def __init__(self) -> None:
        self.containers: list[dict[str, Any]] = []
        self.restarted: list[str] = []
        self.stop_timeouts: list[str | None] = []
        self.requests: list[str] = []
        self.restart_status = 204
        self.filters_work = True
        self.restarting = threading.Event()
        self.restart_allowed = threading.Event()
        self.restart_allowed.set()

    def answer(self, method: str, target: str) -> tuple[int, Any]:
        self.requests.append(f"{method} {target}")
        url = urlsplit(target)
        if (method, url.path) == ("GET", "/_ping"):
            return 200, "OK"
        if (method, url.path) == ("GET", "/containers/json"):
            return 200, [{"Id": found["Id"]} for found in self.matching(parse_qs(url.query))]
        by_id = {found["Id"]: found for found in self.containers}
        _, _, container_id, action = url.path.split("/")
        if container_id not in by_id:
            return 404, {"message": "No such container"}
        if (method, action) == ("GET", "json"):
            return 200, by_id[container_id]
        assert (method, action) == ("POST", "restart")
        self.restarting.set()
        self.restart_allowed.wait(10)
        self.stop_timeouts.append(parse_qs(url.query).get("t", [None])[0])
        self.restarted.append(by_id[container_id]["Name"])
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
            docker.restart_allowed.set()
            server.shutdown()
