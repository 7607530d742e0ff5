"""Files for the services of a Swarm: secrets and configs of Swarm's own kind."""

from __future__ import annotations

import base64
import hashlib

import pulumi
import pulumi_docker as docker

from components.runtime.container import Files
from components.runtime.labels import service_label, stack_label
from components.runtime.orchestrator import FilesArgs

# Of a secret or config, without what Pulumi adds to it.
LONGEST_NAME = 56


class SwarmFiles(pulumi.ComponentResource):
    """One Swarm secret or config a file, with another name for each content.

    Neither can be changed in a Swarm. Another content is another one, made before the service
    moves over to it; the old one goes last.
    """

    files: Files

    def __init__(
        self, name: str, args: FilesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-stack:index:SwarmFiles", name, None, opts)
        mine = pulumi.ResourceOptions(parent=self)
        labels = [stack_label(args.stack), service_label(args.service)]
        secrets: list[docker.Secret] = []
        configs: list[docker.ServiceConfig] = []
        for file, content in sorted(args.files.items()):
            label = _resource_name(name, file)
            if args.are_secrets:
                secret = docker.Secret(
                    label,
                    data=pulumi.Output.secret(content).apply(_encoded),
                    labels=[docker.SecretLabelArgs(**label) for label in labels],
                    opts=mine,
                )
                secrets.append(secret)
            else:
                config = docker.ServiceConfig(
                    label,
                    data_raw=content,
                    labels=[docker.ServiceConfigLabelArgs(**label) for label in labels],
                    opts=mine,
                )
                configs.append(config)
        files = sorted(args.files)
        names = [args.targets.get(file, f"{args.directory}/{file}") for file in files]
        self.files = Files(
            version=pulumi.Output.all(*(made.id for made in (*secrets, *configs))).apply(",".join),
            secrets=[
                {"secret_id": secret.id, "secret_name": secret.name, "file_name": file}
                for secret, file in zip(secrets, names, strict=False)
            ],
            configs=[
                _config(config, path, executable=file in args.executable)
                for config, path, file in zip(configs, names, files, strict=False)
            ],
        )
        self.register_outputs({})


def _config(
    config: docker.ServiceConfig, path: str, *, executable: bool
) -> docker.ServiceTaskSpecContainerSpecConfigArgsDict:
    mounted: docker.ServiceTaskSpecContainerSpecConfigArgsDict = {
        "config_id": config.id,
        "config_name": config.name,
        "file_name": path,
    }
    # Without a mode it is 0444.
    return {**mounted, "file_mode": 0o555} if executable else mounted


def _encoded(content: str) -> str:
    return base64.b64encode(content.encode()).decode()


def _resource_name(name: str, file: str) -> str:
    """At most 56 characters: Docker allows 64, and Pulumi adds eight."""
    whole = f"{name}-{file.replace('.', '-')}"
    if len(whole) <= LONGEST_NAME:
        return whole
    return f"{whole[: LONGEST_NAME - 13]}-{hashlib.sha256(whole.encode()).hexdigest()[:12]}"
