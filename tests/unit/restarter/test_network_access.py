"""The restarter's requests to Docker ignore the proxy settings of its environment."""

from pathlib import Path

import pytest

from app.restarter.engine import Engine
from tests.doubles.docker_api import container, docker_at


def test_requests_to_docker_ignore_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with docker_at(tmp_path / "docker.sock") as docker:
        docker.containers = [container()]
        assert len(Engine(str(tmp_path / "docker.sock")).containers("dev", "phi-inference")) == 1
