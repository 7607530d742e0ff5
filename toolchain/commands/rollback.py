"""The way back: pins the images of a stack to those of the version that served before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolchain.project import NAME, Project
from toolchain.stack.pulumi_command import PulumiCommand
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import Answer, ask
from toolchain.terminal.progress import Progress

# As components/images/kept_versions.py names what has served.
SERVED = "served-"
IMAGE_COMPONENT = f"{NAME}:index:ServiceImage"


@dataclass(frozen=True)
class Version:
    """Images that served together."""

    moment: str
    """When they first did; sorts by time."""
    images: Mapping[str, str]
    """The engine's id of each."""


class Rollback:
    """One stack's versions on its engine, and the way from one to the one before."""

    def __init__(self, project: Project, progress: Progress, stack: str) -> None:
        self._progress = progress
        self._stack = stack
        self._pulumi = PulumiCommand(project, progress, stack)
        self._docker_env = self._pulumi.docker_environment()

    def run(self, asked: Sequence[str]) -> None:
        """Pin the asked images (or all) to the version before, and bring the stack up with them."""
        references = image_references(self._pulumi.export())
        unknown = [name for name in asked if name not in references]
        if unknown:
            raise SetupError(
                f"The stack {self._stack} has no image {', '.join(unknown)}; "
                f"it has {', '.join(sorted(references)) or 'none'}."
            )
        serving = self._ids(references)
        versions = self._versions()
        back = version_before(versions, serving, asked or list(references))
        if back is None:
            raise SetupError(self._nothing_kept(versions))
        pins = {
            name: self._pin(references[name], back.images[name])
            for name in asked or references
            if name in back.images and back.images[name] != serving.get(name)
        }
        for name, digest in pins.items():
            self._pulumi.must("config", "set", "--path", pin_key(name), digest)
            self._progress.say(f"      {name}: back to what first served {told(back.moment)}")
        try:
            self._pulumi.run("up", "--yes", "--skip-preview")
        finally:
            self._tell_the_way_forward(pins)

    def _tell_the_way_forward(self, pins: Mapping[str, str]) -> None:
        self._progress.say()
        self._progress.say("These images are pinned until you say otherwise. Forward again:")
        for name in pins:
            self._progress.say(f"  pulumi config rm --path '{pin_key(name)}' --stack {self._stack}")
        self._progress.say(f"  pulumi up --stack {self._stack}")

    def _versions(self) -> list[Version]:
        listed = self._docker(
            "image", "ls", "--no-trunc", "--format", "{{.Repository}} {{.Tag}} {{.ID}}",
            "--filter", f"reference={NAME}-{self._stack}/*:{SERVED}*",
        )  # fmt: skip
        if not listed.ok:
            raise SetupError(f"The engine does not tell its images:\n{listed.err.strip()}")
        return versions_listed(listed.out, self._stack)

    def _ids(self, references: Mapping[str, str]) -> dict[str, str]:
        found = {
            name: self._docker("image", "inspect", "--format", "{{.Id}}", reference)
            for name, reference in references.items()
        }
        return {name: answer.out.strip() for name, answer in found.items() if answer.ok}

    def _pin(self, reference: str, image: str) -> str:
        """What `imageDigests` takes: the registry's digest where there is one, else the id."""
        repository, at, _ = reference.partition("@")
        if not at:
            return image
        answer = self._docker("image", "inspect", "--format", "{{json .RepoDigests}}", image)
        digests = json.loads(answer.out) if answer.ok else []
        for name, _, digest in (known.partition("@") for known in digests or []):
            if name == repository:
                return str(digest)
        raise SetupError(
            f"The engine does not know {image} as an image of {repository}: "
            "check out the commit that it was made from, and run pulumi up."
        )

    def _nothing_kept(self, versions: Sequence[Version]) -> str:
        if self._pulumi.setting(f"{NAME}:keepVersions") in {None, "0"}:
            return (
                f"The stack {self._stack} keeps no earlier versions. For the next time: "
                f"pulumi config set keepVersions 3 --stack {self._stack}; now: check out the "
                "commit that served, and run pulumi up."
            )
        known = ", ".join(told(version.moment) for version in versions) or "none"
        return f"No earlier version of these images is kept; those that are, first served: {known}."

    def _docker(self, *args: str) -> Answer:
        return ask(["docker", *args], env=self._docker_env)


def image_references(export: Mapping[str, Any]) -> dict[str, str]:
    """By image: what the containers of a stack run, as its exported state has it."""
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
    versions: Sequence[Version], serving: Mapping[str, str], asked: Sequence[str]
) -> Version | None:
    """The newest version before `serving` in which one of the asked images is another.

    Images that are no version never served whole: what was the last to serve is before them.
    """
    at = next((i for i, one in enumerate(versions) if one.images == serving), len(versions))
    for version in reversed(versions[:at]):
        if any(version.images.get(name, serving.get(name)) != serving.get(name) for name in asked):
            return version
    return None


def pin_key(image: str) -> str:
    """Where `imageDigests` of a stack's settings names an image."""
    return f"{NAME}:imageDigests.{image}"


def told(moment: str) -> str:
    """`20261124T164206Z` as people read it."""
    day, _, time = moment.removesuffix("Z").partition("T")
    return f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}:{time[4:]} UTC"
