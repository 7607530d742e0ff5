"""Files for a container, in a volume: configuration, and secrets that nothing else shows."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_docker as docker

from components.runtime.container import Mount
from components.runtime.container_options import USER
from components.runtime.labels import contents_label, service_label, stack_label
from components.runtime.orchestrator import FilesArgs


class MountedFiles(pulumi.ComponentResource):
    """A small volume, filled through a container that is created and never started.

    Docker cannot upload into a container whose root is read-only, and a variable or argument would
    show a secret in `docker inspect`. The contents are encrypted in the state.

    Other contents are another volume: the container that still serves keeps the files that it was
    started with, and no file outlives its setting.
    """

    mounts: Sequence[Mount]
    version: pulumi.Output[str]
    """Changes with every content, and does not reveal it. It is not the carrier's id: who prunes
    what is stopped removes the carrier, whose successor is to replace no container."""
    written: pulumi.Resource

    def __init__(
        self,
        name: str,
        args: FilesArgs,
        carrier_image: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("llm-stack:index:MountedFiles", name, None, opts)
        contents = pulumi.Stash(
            f"{name}-contents",
            input=pulumi.Output.secret(dict(args.files)),
            # Another id whenever a content changes; the engine compares no secret by itself.
            opts=pulumi.ResourceOptions(parent=self, replace_on_changes=["input"]),
        )
        labels = [
            stack_label(args.stack),
            service_label(args.service),
            contents_label(contents.id),
        ]
        volume = docker.Volume(
            f"{name}-volume",
            labels=[docker.VolumeLabelArgs(**label) for label in labels],
            opts=pulumi.ResourceOptions(parent=self),
        )
        carrier = docker.Container(
            f"{name}-carrier",
            image=carrier_image,
            user=USER,
            start=False,
            must_run=False,
            network_mode="none",
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges:true"],
            labels=[docker.ContainerLabelArgs(**stack_label(args.stack))],
            volumes=[
                docker.ContainerVolumeArgs(volume_name=volume.name, container_path=args.directory)
            ],
            uploads=[
                docker.ContainerUploadArgs(
                    file=f"{args.directory}/{file}",
                    content=pulumi.Output.secret(content),
                    permissions="0555" if file in args.executable else "0444",
                )
                for file, content in sorted(args.files.items())
            ],
            # Deleted before its replacement, it would first delete what depends on it.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=False),
        )
        self.version = contents.id
        self.written = carrier
        self.mounts = _mounts(args, volume)
        self.register_outputs({"version": self.version})


def _mounts(args: FilesArgs, volume: docker.Volume) -> list[Mount]:
    """The whole volume in its directory, or each file of it at its own path.

    Engines before Docker 26 cannot mount a part of a volume; the volume's folder on the engine's
    machine can be mounted by any.
    """
    if not args.targets:
        return [Mount(volume=volume.name, path=args.directory)]
    return [
        Mount(host_path=pulumi.Output.concat(volume.mountpoint, "/", file), path=path)
        for file, path in sorted(args.targets.items())
    ]
