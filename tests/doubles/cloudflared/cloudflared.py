#!/usr/bin/env python3
"""A double of cloudflared 2026.8: its command line, its token, its metrics server.

It does not connect to Cloudflare. The tests act as the edge: they send the tunnel's configuration to
the metrics port, and the requests that Cloudflare would send to port 8880.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import secrets
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn

EDGE_PORT = 8880
GLOBAL_FLAGS = {"--no-autoupdate": False}
TUNNEL_FLAGS = {
    "--no-autoupdate": False,
    "--metrics": True,
    "--grace-period": True,
    "--loglevel": True,
    "--url": True,
}
RUN_FLAGS = {"--token": True, "--token-file": True, "--protocol": True, "--url": True}


@dataclass
class Connector:
    """State of the running double."""

    connector: str = field(default_factory=lambda: str(uuid.uuid4()))
    tunnel: dict[str, str] | None = None
    hostname: str = ""
    """Hostname of a quick tunnel."""
    origin: str = ""
    config: dict[str, Any] = field(default_factory=lambda: {"version": 0, "config": None})
    connected: bool = True
    in_flight: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


STATE = Connector()


def log(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} INF {text}", file=sys.stderr)


def refuse_flag(flag: str, verb: str) -> NoReturn:
    """Like the real one, print the help and exit with 0: a misplaced flag looks like success."""
    print(f"Incorrect Usage: flag provided but not defined: {flag.lstrip('-')}\n", flush=True)
    print(f"NAME:\n  cloudflared {verb}")
    sys.exit(0)


def take_flags(args: list[str], known: dict[str, bool], verb: str) -> dict[str, str]:
    """Parse flags until the next command."""
    found: dict[str, str] = {}
    while args and args[0].startswith("-"):
        flag, _, value = args.pop(0).partition("=")
        if flag not in known:
            refuse_flag(flag, verb)
        found[flag] = (value or args.pop(0)) if known[flag] else "true"
    return found


def fail(code: int, message: str) -> NoReturn:
    print(f"{message}\nSee 'cloudflared tunnel run --help'.", file=sys.stderr)
    sys.exit(code)


def read_token(flags: dict[str, str]) -> dict[str, str]:
    token = os.environ.get("TUNNEL_TOKEN") or flags.get("--token")
    path = flags.get("--token-file") or os.environ.get("TUNNEL_TOKEN_FILE")
    if not token and path:
        try:
            with open(path, encoding="utf-8") as file:
                token = file.read().strip()
        except OSError as error:
            fail(255, f"Failed to read token file: open {path}: {error.strerror}")
    if not token:
        fail(255, '"cloudflared tunnel run" requires the ID or name of the tunnel to run')
    try:
        parts: dict[str, str] = json.loads(base64.b64decode(token, validate=True))
        uuid.UUID(parts["t"])
        if not parts["a"] or not base64.b64decode(parts["s"], validate=True):
            raise ValueError("empty")
    except (ValueError, KeyError, TypeError):
        fail(255, "Provided Tunnel token is not valid.")
    return {"account": parts["a"], "tunnel": parts["t"]}


def ready(address: str) -> int:
    if not address:
        print("--metrics has to be provided", file=sys.stderr)
        return 1
    try:
        with urllib.request.urlopen(f"http://{address}/ready", timeout=5) as answer:
            return 0 if answer.status == 200 else 1
    except (urllib.error.URLError, OSError) as error:
        print(f'Get "http://{address}/ready": {error}', file=sys.stderr)
        return 1


class Metrics(BaseHTTPRequestHandler):
    """The endpoints of the real metrics server, and those of the tests under /double/."""

    def do_GET(self) -> None:
        ok = STATE.connected and not STATE.stopping.is_set()
        connections = (1 if STATE.hostname else 4) if ok else 0
        status = 200 if ok else 503
        ready = {"status": status, "readyConnections": connections, "connectorId": STATE.connector}
        metrics = (
            "# TYPE cloudflared_tunnel_ha_connections gauge\n"
            f"cloudflared_tunnel_ha_connections {connections}\n"
            "# TYPE cloudflared_tunnel_request_errors counter\n"
            "cloudflared_tunnel_request_errors 0\n"
        )
        answers = {
            "/ready": (status, json.dumps(ready)),
            "/metrics": (200, metrics),
            "/healthcheck": (200, "OK\n"),
            "/quicktunnel": (200, json.dumps({"hostname": STATE.hostname})),
            "/config": (200, json.dumps(STATE.config)),
            "/double/tunnel": (200, json.dumps(STATE.tunnel)),
        }
        self._answer(*answers.get(self.path, (404, "404 page not found\n")))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/double/die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.path == "/double/connected":
            STATE.connected = json.loads(body)
        elif self.path == "/double/config":
            STATE.config = json.loads(body)
        self._answer(200, "")

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None: ...


class Edge(BaseHTTPRequestHandler):
    """Forwards requests from the internet to the service that the ingress rules select."""

    def _forward(self) -> None:
        with STATE.lock:
            STATE.in_flight += 1
        try:
            self._proxy(origin_for(self.headers.get("host", "")))
        finally:
            with STATE.lock:
                STATE.in_flight -= 1

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = _forward

    def _proxy(self, service: str) -> None:
        status = re.fullmatch(r"http_status:(\d+)", service)
        if status or STATE.stopping.is_set():
            self.send_response(int(status[1]) if status else 502)
            self.end_headers()
            return
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        host = service.removeprefix("http://")
        upstream = http.client.HTTPConnection(host, timeout=120)
        try:
            upstream.request(self.command, self.path, body or None, dict(self.headers))
            answer = upstream.getresponse()
        except OSError:
            self.send_response(502)
            self.end_headers()
            return
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in {"transfer-encoding", "connection"}:
                self.send_header(key, value)
        self.end_headers()
        while piece := answer.read1(65536):
            self.wfile.write(piece)
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None: ...


def origin_for(host: str) -> str:
    if STATE.origin:
        return STATE.origin
    for rule in (STATE.config.get("config") or {}).get("ingress", ()):
        if rule.get("hostname") in (None, host):
            return str(rule["service"])
    return "http_status:503"


def serve(metrics: str, grace: str) -> NoReturn:
    """Run until SIGTERM, then wait for requests in flight."""
    host, _, port = metrics.rpartition(":")
    threading.Thread(
        target=ThreadingHTTPServer((host, int(port)), Metrics).serve_forever, daemon=True
    ).start()
    threading.Thread(
        target=ThreadingHTTPServer(("0.0.0.0", EDGE_PORT), Edge).serve_forever, daemon=True
    ).start()
    log(f"Starting metrics server on {metrics}/metrics")
    for number in range(1 if STATE.hostname else 4):
        log(f"Registered tunnel connection connIndex={number} connection={uuid.uuid4()}")
    signal.signal(signal.SIGTERM, lambda *_: STATE.stopping.set())
    signal.signal(signal.SIGINT, lambda *_: STATE.stopping.set())
    STATE.stopping.wait()
    log("Initiating graceful shutdown due to signal terminated ...")
    deadline = time.monotonic() + float(grace.removesuffix("s"))
    while STATE.in_flight and time.monotonic() < deadline:
        time.sleep(0.05)
    sys.exit(0)


def main(args: list[str]) -> NoReturn:
    take_flags(args, GLOBAL_FLAGS, "")
    verb = args.pop(0) if args else "help"
    if verb == "version":
        print("cloudflared version double")
        sys.exit(0)
    if verb != "tunnel":
        refuse_flag(verb, "")
    flags = take_flags(args, TUNNEL_FLAGS, "tunnel")
    metrics = flags.get("--metrics") or os.environ.get("TUNNEL_METRICS", "")
    grace = flags.get("--grace-period") or os.environ.get("TUNNEL_GRACE_PERIOD", "30s")
    verb = args.pop(0) if args else ""
    if verb == "ready":
        take_flags(args, {}, "tunnel ready")
        sys.exit(ready(metrics))
    if verb == "run":
        flags = take_flags(args, RUN_FLAGS, "tunnel run")
        STATE.tunnel = read_token(flags)
        log(f"Starting tunnel tunnelID={STATE.tunnel['tunnel']}")
        serve(metrics or "0.0.0.0:20241", grace)
    if verb or not flags.get("--url"):
        refuse_flag(verb, "tunnel")
    STATE.origin = flags["--url"]
    STATE.hostname = f"quiet-{secrets.token_hex(4)}.trycloudflare.com"
    log("Requesting new quick Tunnel on trycloudflare.com...")
    lines = ["Your quick Tunnel has been created! Visit it at:", f"https://{STATE.hostname}"]
    width = max(map(len, lines))
    for line in ["-" * (width + 4), *lines, "-" * (width + 4)]:
        log(f"+{line}+" if line.startswith("-") else f"|  {line.ljust(width)}  |")
    serve(metrics or "0.0.0.0:20241", grace)


if __name__ == "__main__":
    main(sys.argv[1:])
