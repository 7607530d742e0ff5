"""The servers that the gateway's benchmarks compare, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.child import running_module
from tests.ports import free_port

LITELLM = "litellm[proxy]==1.106.2"
ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 180.0


@dataclass(frozen=True)
class Target:
    """A server that the clients measure; `process` is None for direct requests."""

    name: str
    port: int
    process: int | None


@contextlib.contextmanager
def fake_server(interval: float) -> Iterator[int]:
    """The port of a model server that streams a token each `interval` seconds."""
    with running_module("benchmarks.gateway_upstream", str(interval)) as port:
        yield int(port)


@contextlib.contextmanager
def gateway(url: str, slots: int = 1024, secrets: Path | None = None) -> Iterator[Target]:
    """The gateway in front of the model server at `url`, as a separate process.

    :param secrets: the folder of its API keys; without it, it requires none.
    """
    config = {"models": [{"id": "bench", "slots": slots, "replicas": [url]}]}
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gateway.json")
        path.write_text(json.dumps(config))
        environment = {"GATEWAY_CONFIG": str(path), "HOST": "127.0.0.1", "PORT": str(port)}
        if secrets:
            environment["SECRETS_DIR"] = str(secrets)
        command = [sys.executable, "-m", "app.chat"]
        with _process(command, environment, port, "/ready", Path(folder, "log")) as process:
            yield Target("gateway", port, process)


@contextlib.contextmanager
def nginx(server: int, command: Path) -> Iterator[Target]:
    """nginx as a reverse proxy that passes each chunk on at once; one worker process."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(
            f"""
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream model {{ server 127.0.0.1:{server}; keepalive 512; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""
        )
        arguments = [str(command), "-c", str(config), "-p", folder, "-e", "stderr"]
        with _process(arguments, {}, port, "/health", Path(folder, "log")) as process:
            yield Target("nginx", port, process)


@contextlib.contextmanager
def litellm(server: int, installed: Path | None) -> Iterator[Target]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = installed or _install_litellm(Path(folder))
        parameters = {
            "model": "openai/bench",
            "api_base": f"http://127.0.0.1:{server}/v1",
            "api_key": "sk-bench",
        }
        config = Path(folder, "litellm.yaml")
        # JSON is valid YAML.
        models = [{"model_name": "bench", "litellm_params": parameters}]
        config.write_text(json.dumps({"model_list": models}))
        environment = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            # Neither proxy checks API keys here; LiteLLM needs this setting for that.
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        }
        arguments = [str(command), "--config", str(config), "--host", "127.0.0.1"]
        arguments += ["--port", str(port), "--num_workers", "1", "--telemetry", "False"]
        with _process(
            arguments, environment, port, "/health/liveliness", Path(folder, "log")
        ) as process:
            yield Target("LiteLLM", port, process)


def _install_litellm(folder: Path) -> Path:
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", LITELLM], check=True)
    return environment / "bin" / "litellm"


@contextlib.contextmanager
def _process(
    command: Sequence[str], environment: dict[str, str], port: int, ready: str, log: Path
) -> Iterator[int]:
    """Run a server until the block ends; show its output only when it does not start."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until(
            lambda: process.poll() is not None or _answers(f"http://127.0.0.1:{port}{ready}")
        )
        if process.poll() is not None:
            sys.exit(f"{command[0]} ended:\n{log.read_text()[-4000:]}")
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"a server did not start within {_START_SECONDS:g} s")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
