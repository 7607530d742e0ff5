"""The Docker provider that is signed in to a stack's registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.config.problems import Problem, Source
from components.config.registry import RegistrySettings

# What `docker login` leaves on the machine that runs Pulumi.
LOGIN = "~/.docker/config.json"


def in_registry(
    registry: RegistrySettings | None, password: pulumi.Output[str] | None
) -> pulumi.ResourceOptions | None:
    """Options under which an image may be pushed and pulled; None where there is no registry.

    For images alone: what moves to another provider is replaced, and containers, networks and model
    volumes must outlive a stack's move to a registry.
    """
    if registry is None:
        return None
    engine = pulumi.Config("docker")
    provider = docker.Provider(
        "registry",
        registry_auth=[_login(registry, password)],
        # A provider that a program makes does not read the stack's own `docker:` settings.
        host=engine.get("host"),
        ssh_opts=engine.get_object("sshOpts"),
        context=engine.get("context"),
        cert_path=engine.get("certPath"),
        ca_material=engine.get_secret("caMaterial"),
        cert_material=engine.get_secret("certMaterial"),
        key_material=engine.get_secret("keyMaterial"),
    )
    return pulumi.ResourceOptions(providers=[provider])


def login_problems(registry: RegistrySettings, source: Source) -> Iterator[Problem]:
    """A problem where neither the settings nor this machine have credentials."""
    if registry.username is None and not Path(LOGIN).expanduser().exists():
        yield source.problem(
            ("registry", "username"),
            f"is missing, and this machine has no {LOGIN}",
            run=f"docker login {registry.server}",
        )


def _login(
    registry: RegistrySettings, password: pulumi.Output[str] | None
) -> docker.ProviderRegistryAuthArgs:
    address = f"{'http' if registry.on_this_machine else 'https'}://{registry.server}"
    if registry.username is None:
        return docker.ProviderRegistryAuthArgs(address=address, config_file=LOGIN)
    return docker.ProviderRegistryAuthArgs(
        address=address, username=registry.username, password=password
    )
