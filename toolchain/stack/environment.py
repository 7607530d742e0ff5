"""The variables under which pulumi runs for this checkout; `toolchain/activate` sets the same."""

from __future__ import annotations

import os
from collections.abc import Mapping

from toolchain.project import Project
from toolchain.terminal.processes import ask

DEFAULT_SOCKET = "unix:///var/run/docker.sock"


def pulumi_environment(project: Project, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a person has set stays; no secret is among what is added, only the path of one."""
    added = {
        "PATH": f"{project.venv / 'bin'}:{project.bin}:{environ.get('PATH', os.defpath)}",
    }
    if not environ.get("PULUMI_BACKEND_URL"):
        added["PULUMI_BACKEND_URL"] = project.pulumi_state.as_uri()
    if not environ.get("PULUMI_CONFIG_PASSPHRASE"):
        file = environ.get("PULUMI_CONFIG_PASSPHRASE_FILE") or str(project.passphrase)
        added["PULUMI_CONFIG_PASSPHRASE_FILE"] = file
    # Pulumi takes the salt of the passphrase from the state where Pulumi.dev.yaml was made anew.
    fallback = "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER"
    added[fallback] = environ.get(fallback) or "true"
    if project.built_plugin.exists():
        # Nothing can be downloaded here: do not let each command try.
        for name in ("PULUMI_SKIP_UPDATE_CHECK", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"):
            added[name] = environ.get(name) or "true"
    return {**environ, **added}


def with_docker_host(environment: Mapping[str, str]) -> dict[str, str]:
    """Add the address of the chosen Docker context, which the Docker plugin does not ask for."""
    if environment.get("DOCKER_HOST"):
        return dict(environment)
    command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    answer = ask(command, env=environment)
    host = answer.out.strip()
    if not answer.ok or host in {"", DEFAULT_SOCKET}:
        return dict(environment)
    return {**environment, "DOCKER_HOST": host}
