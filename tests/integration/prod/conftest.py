"""Fixtures for a production stack on the real engine, with doubles of Cloudflare."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
import yaml
from docker.models.containers import Container

from tests.doubles import cloudflare_provider
from tests.doubles.cloudflare_api import CloudflareApi
from tests.integration.conftest import PROJECT_ROOT, StackUnderTest, engine_source

CONNECTOR_IMAGE = "llm-stack-test/cloudflared:double"
ZONE = "example.com"
METRICS_PORT, EDGE_PORT = 20241, 8880
# Variables of a developer's shell that the provider would read.
CLOUDFLARE_VARIABLES = [name for name in os.environ if name.startswith("CLOUDFLARE_")]


@pytest.fixture(scope="session")
def connector_image(buildkit: Callable[..., Any]) -> str:
    """The image of the cloudflared double."""
    buildkit("--quiet", "-t", CONNECTOR_IMAGE, str(PROJECT_ROOT / "tests/doubles/cloudflared"))
    return CONNECTOR_IMAGE


@pytest.fixture(scope="session")
def pulumi_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Pulumi home with the installed plugins, and the double as the Cloudflare provider."""
    home = tmp_path_factory.mktemp("pulumi-home")
    plugins = home / "plugins"
    plugins.mkdir()
    installed = Path(os.environ.get("PULUMI_HOME", Path.home() / ".pulumi")) / "plugins"
    for file in installed.glob("resource-*/*"):
        if "cloudflare" not in file.parent.name:
            # Pulumi reads only folders: their content may be links, the folders themselves may not.
            folder = plugins / file.parent.name
            folder.mkdir(exist_ok=True)
            (folder / file.name).symlink_to(file)
    double = plugins / f"resource-cloudflare-v{cloudflare_provider.VERSION}"
    double.mkdir()
    launcher = double / "pulumi-resource-cloudflare"
    launcher.write_text(
        "#!/bin/sh\n"
        f"PYTHONPATH='{PROJECT_ROOT}' PYTHONWARNINGS=ignore "
        f"exec '{sys.executable}' -m {cloudflare_provider.__name__} \"$@\"\n",
        encoding="utf-8",
    )
    launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)
    return home


@pytest.fixture(scope="module")
def api() -> Iterator[CloudflareApi]:
    """The double of Cloudflare's API."""
    with CloudflareApi(
        account_id="a" * 32, zone_id="b" * 32, zone_name=ZONE, token="test-" + "t" * 40
    ) as api:
        yield api


@dataclass
class ProdStack(StackUnderTest):
    """A stack with the settings of `Pulumi.prod.yaml`."""

    def begin(self, api: CloudflareApi, home: Path, **settings: Any) -> None:
        """Set what a user sets, with the double's URL as Cloudflare's API."""
        for name in CLOUDFLARE_VARIABLES:
            self.environment.pop(name, None)
        self.environment["PULUMI_HOME"] = str(home)
        self.environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        prod = yaml.safe_load((self.project / "Pulumi.prod.yaml").read_text(encoding="utf-8"))
        self.settings_file.write_text(yaml.safe_dump({**self.content, **prod}), encoding="utf-8")
        self.set("cloudflare:baseUrl", api.url)
        self.set("cloudflare:apiToken", api.token, secret=True)
        self.set("llm-stack:tunnel.baseDomain", api.zone_name)
        self.set("llm-stack:tunnel.accountId", api.account_id)
        self.set("llm-stack:tunnel.zoneId", api.zone_id)
        self.change(engineSource=engine_source().value, **settings)

    @property
    def settings_file(self) -> Path:
        return self.project / f"Pulumi.{self.name}.yaml"

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = yaml.safe_load(self.settings_file.read_text(encoding="utf-8"))
        return content or {}

    def set(self, key: str, value: str, *, secret: bool = False) -> None:
        """Run `pulumi config set`, as in the documentation."""
        kind = "--secret" if secret else "--plaintext"
        self.pulumi("config", "set", "--path", kind, key, value)

    def change(self, **settings: Any) -> None:
        """Edit settings in the stack's file; maps are merged one level deep, None removes."""
        content = self.content
        config = content["config"]
        for key, value in settings.items():
            name = f"llm-stack:{key}"
            if value is None:
                config.pop(name, None)
            else:
                merge = isinstance(value, dict) and isinstance(config.get(name), dict)
                config[name] = {**config[name], **value} if merge else value
        self.settings_file.write_text(yaml.safe_dump(content), encoding="utf-8")

    def connectors(self, service: str = "chat-interface") -> dict[str, Container]:
        """Running connectors of a service, by name."""
        return {
            name: container
            for name, container in self.containers().items()
            if name.startswith(f"{service}-tunnel-")
        }

    def ids(self) -> dict[str, str]:
        """Container ids by service."""
        return {name: str(container.id) for name, container in self.containers().items()}

    def state(self) -> str:
        """The stored state, with encrypted secrets."""
        return self.pulumi("stack", "export").stdout


@dataclass
class Edge:
    """The tests' Cloudflare edge: configures connectors and sends them requests."""

    api: CloudflareApi
    engine: docker.DockerClient

    def connectors(self, tunnel_id: str | None = None) -> list[str]:
        """IP addresses of running connectors, of one tunnel or of all."""
        found = []
        for container in self.engine.containers.list(filters={"ancestor": CONNECTOR_IMAGE}):
            address = address_of(container)
            try:
                tunnel = httpx.get(f"http://{address}:{METRICS_PORT}/double/tunnel").json()
            except httpx.HTTPError:
                continue
            if tunnel_id is None or (tunnel and tunnel["tunnel"] == tunnel_id):
                found.append(address)
        return found

    def is_connected(self, tunnel_id: str) -> bool:
        return bool(self.connectors(tunnel_id))

    def request(self, hostname: str, path: str, **options: Any) -> httpx.Response:
        """Send a request to a hostname through any connector of its tunnel."""
        (record,) = [r for r in self.api.records.values() if r["name"] == hostname]
        tunnel_id = record["content"].removesuffix(".cfargotunnel.com")
        return self.through(tunnel_id, hostname, path, **options)

    def through(self, tunnel_id: str, hostname: str, path: str, **options: Any) -> httpx.Response:
        connector = self.connectors(tunnel_id)[0]
        config = self.api.configurations[tunnel_id]
        httpx.post(f"http://{connector}:{METRICS_PORT}/double/config", json=config)
        method = options.pop("method", "GET")
        headers = {"host": hostname, **options.pop("headers", {})}
        url = f"http://{connector}:{EDGE_PORT}{path}"
        return httpx.request(method, url, headers=headers, timeout=60, **options)


def address_of(container: Container) -> str:
    """The IP address of a container; this machine routes to the engine's bridges."""
    container.reload()
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    address: str = network["IPAddress"]
    return address


@pytest.fixture(scope="module")
def edge(api: CloudflareApi, engine: docker.DockerClient) -> Edge:
    edge = Edge(api, engine)
    api.is_connected = edge.is_connected
    return edge


@pytest.fixture(scope="module")
def prod(
    tmp_path_factory: pytest.TempPathFactory,
    engine: docker.DockerClient,
    api: CloudflareApi,
    edge: Edge,
    pulumi_home: Path,
    connector_image: str,
) -> Iterator[ProdStack]:
    """A configured stack that is not up; always destroyed afterwards."""
    stack = ProdStack(tmp_path_factory.mktemp("prod"), engine)
    try:
        stack.begin(
            api,
            pulumi_home,
            services=["chat-interface", "phi-inference", "qwen-inference"],
            placeholderModel="tiny",
            monitor={"interval": 2},
            tunnel={
                "image": connector_image,
                "replicas": 1,
                "access": "access",
                "people": {"emails": ["jo@example.com"], "domains": ["example.com"]},
            },
            gateway={"access": {"rpm": 600}},
        )
        yield stack
    finally:
        stack.remove()


def wait_until(condition: Callable[[], object], what: str, seconds: float = 90) -> None:
    """Return as soon as the condition holds; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)
