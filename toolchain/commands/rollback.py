"""Rollback: pins the images of a stack to those of its previous version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolchain.project import NAME, Project
from toolchain.stack.pulumi_command import PulumiCommand
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import Result, capture
from toolchain.terminal.progress import Progress

# The tag prefix of kept versions, see components/images/kept_versions.py.
SERVED = "served-"
IMAGE_COMPONENT = f"{NAME}:index:ServiceImage"


@dataclass(frozen=True)
class Version:
    """Images that ran together."""

    moment: str
    """When they first ran healthy; sorts by time."""
    images: Mapping[str, str]
    """Image ids by name."""


class Rollback:
    """Reads the kept versions of a stack and returns to the previous one."""

    def __init__(self, project: Project, progress: Progress, stack: str) -> None:
        self._progress = progress
        self._stack = stack
        self._pulumi = PulumiCommand(project, progress, stack)
        self._docker_env = self._pulumi.docker_environment()

    def run(self, images: Sequence[str]) -> None:
        """Pin the given images (or all) to the previous version, and update the stack."""
        references = image_references(self._pulumi.export())
        unknown = [name for name in images if name not in references]
        if unknown:
            raise SetupError(
                f"The stack {self._stack} has no image {', '.join(unknown)}; "
                f"it has {', '.join(sorted(references)) or 'none'}."
            )
        running = self._ids(references)
        versions = self._versions()
        previous = version_before(versions, running, images or list(references))
        if previous is None:
            raise SetupError(self._no_previous_version(versions))
        pins = {
            name: self._pin(references[name], previous.images[name])
            for name in images or references
            if name in previous.images and previous.images[name] != running.get(name)
        }
        for name, digest in pins.items():
            self._pulumi.must("config", "set", "--path", pin_key(name), digest)
            self._progress.print(f"      {name}: version of {readable(previous.moment)}")
        try:
            self._pulumi.run("up", "--yes", "--skip-preview")
        finally:
            self._print_how_to_undo(pins)

    def _print_how_to_undo(self, pins: Mapping[str, str]) -> None:
        self._progress.print()
        self._progress.print("These images stay pinned until you remove the pins:")
        for name in pins:
            self._progress.print(
                f"  pulumi config rm --path '{pin_key(name)}' --stack {self._stack}"
            )
        self._progress.print(f"  pulumi up --stack {self._stack}")

    def _versions(self) -> list[Version]:
        listed = self._docker(
            "image", "ls", "--no-trunc", "--format", "{{.Repository}} {{.Tag}} {{.ID}}",
            "--filter", f"reference={NAME}-{self._stack}/*:{SERVED}*",
        )  # fmt: skip
        if not listed.ok:
            raise SetupError(f"Docker Engine does not list its images:\n{listed.err.strip()}")
        return versions_listed(listed.out, self._stack)

    def _ids(self, references: Mapping[str, str]) -> dict[str, str]:
        found = {
            name: self._docker("image", "inspect", "--format", "{{.Id}}", reference)
            for name, reference in references.items()
        }
        return {name: result.out.strip() for name, result in found.items() if result.ok}

    def _pin(self, reference: str, image: str) -> str:
        """The value for `imageDigests`: the registry's digest, or the id of a local image."""
        repository, at, _ = reference.partition("@")
        if not at:
            return image
        result = self._docker("image", "inspect", "--format", "{{json .RepoDigests}}", image)
        digests = json.loads(result.out) if result.ok else []
        for name, _, digest in (known.partition("@") for known in digests or []):
            if name == repository:
                return str(digest)
        raise SetupError(
            f"Docker Engine has no digest of {image} in {repository}: "
            "check out the commit of that version, and run pulumi up."
        )

    def _no_previous_version(self, versions: Sequence[Version]) -> str:
        if self._pulumi.setting(f"{NAME}:keepVersions") in {None, "0"}:
            return (
                f"The stack {self._stack} does not keep previous versions. To keep them in future: "
                f"pulumi config set keepVersions 3 --stack {self._stack}. To return to a previous "
                "version now: check out its commit, and run pulumi up."
            )
        kept = ", ".join(readable(version.moment) for version in versions) or "none"
        return f"No previous version of these images is kept; kept versions: {kept}."

    def _docker(self, *args: str) -> Result:
        return capture(["docker", *args], env=self._docker_env)


def image_references(export: Mapping[str, Any]) -> dict[str, str]:
    """Image references by image name, from the exported state of a stack."""
    return {
        resource["urn"].rpartition("::")[2]: resource["outputs"]["reference"]
        for resource in export["deployment"].get("resources") or []
        if resource["type"] == IMAGE_COMPONENT and "reference" in resource.get("outputs", {})
    }


def versions_listed(listing: str, stack: str) -> list[Version]:
    """Versions, oldest first, from lines of repository, tag and id."""
    versions: dict[str, dict[str, str]] = {}
    for repository, tag, image in (line.split() for line in listing.splitlines()):
        name = repository.removeprefix(f"{NAME}-{stack}/")
        versions.setdefault(tag.removeprefix(SERVED), {})[name] = image
    return [Version(moment, versions[moment]) for moment in sorted(versions)]


def version_before(
    versions: Sequence[Version], running: Mapping[str, str], images: Sequence[str]
) -> Version | None:
    """The newest version before `running` in which one of the given images differs.

    If `running` is not a kept version, it never ran healthy: the newest version is before it.
    """
    at = next((i for i, one in enumerate(versions) if one.images == running), len(versions))
    for version in reversed(versions[:at]):
        if any(version.images.get(name, running.get(name)) != running.get(name) for name in images):
            return version
    return None


def pin_key(image: str) -> str:
    """The settings key that pins an image."""
    return f"{NAME}:imageDigests.{image}"


def readable(moment: str) -> str:
    """`20261124T164206Z` as `2026-11-24 16:42:06 UTC`."""
    day, _, time = moment.removesuffix("Z").partition("T")
    return f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}:{time[4:]} UTC"
