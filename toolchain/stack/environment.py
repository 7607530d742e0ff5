"""Environment variables of pulumi in this checkout; `toolchain/activate` sets the same."""

from __future__ import annotations

import os
from collections.abc import Mapping

from toolchain.project import Project
from toolchain.terminal.processes import capture

DEFAULT_SOCKET = "unix:///var/run/docker.sock"


def pulumi_environment(project: Project, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Add variables that are not set; the passphrase is passed by path only."""
    added = {
        "PATH": f"{project.venv / 'bin'}:{project.bin}:{environ.get('PATH', os.defpath)}",
    }
    if not environ.get("PULUMI_BACKEND_URL"):
        added["PULUMI_BACKEND_URL"] = project.pulumi_state.as_uri()
    if not environ.get("PULUMI_CONFIG_PASSPHRASE"):
        file = environ.get("PULUMI_CONFIG_PASSPHRASE_FILE") or str(project.passphrase)
        added["PULUMI_CONFIG_PASSPHRASE_FILE"] = file
    # Pulumi reads the salt of the passphrase from the state if Pulumi.dev.yaml was recreated.
    fallback = "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER"
    added[fallback] = environ.get(fallback) or "true"
    if project.built_plugin.exists():
        # Releases cannot be downloaded on this machine, so skip the attempts.
        for name in ("PULUMI_SKIP_UPDATE_CHECK", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"):
            added[name] = environ.get(name) or "true"
    return {**environ, **added}


def with_docker_host(environment: Mapping[str, str]) -> dict[str, str]:
    """Add DOCKER_HOST of the current Docker context, which the Docker plugin does not read."""
    if environment.get("DOCKER_HOST"):
        return dict(environment)
    command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    result = capture(command, env=environment)
    host = result.out.strip()
    if not result.ok or host in {"", DEFAULT_SOCKET}:
        return dict(environment)
    return {**environment, "DOCKER_HOST": host}
