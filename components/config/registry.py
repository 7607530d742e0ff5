"""What a stack says of its image registry: settings `registry` and `imageDigests`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from components.config.schema import CamelModel, choices

Platform = Literal["linux/amd64", "linux/arm64"]
# Host and port; a scheme or a path would end up in the names of images.
Server = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$", examples=["ghcr.io"])
]
# The path components of a name: github.com/distribution/reference, `regexp.go`.
Repository = Annotated[
    str, Field(pattern=r"^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$")
]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class RegistrySettings(CamelModel):
    """Where images are pushed to and pulled from, as `<server>/<repository>/<image>`."""

    server: Server
    repository: Repository
    username: str | None = Field(
        default=None, description="with registryPassword; without both, `docker login` counts"
    )
    platforms: tuple[Platform, ...] = Field(
        default=("linux/amd64",),
        min_length=1,
        description="what images are made for; an update that builds itself builds for the first",
    )

    @property
    def on_this_machine(self) -> bool:
        """Whether the engine speaks plain HTTP with it, as with every registry on the loopback."""
        host = self.server.partition(":")[0]
        return host == "localhost" or host.startswith("127.")


def registry_problems(
    registry: RegistrySettings | None,
    digests: Mapping[str, str],
    *,
    password_given: bool,
    images: Iterable[str],
) -> list[str]:
    """What keeps a stack from using its registry, each problem in a user's words."""
    known = list(images)
    problems = [
        f"imageDigests.{name}: no such image is built here; found {digest!r}, "
        f"{choices(name, known)}"
        for name, digest in digests.items()
        if name not in known
    ]
    if registry is None:
        if password_given:
            problems.append("registryPassword: no registry is named; set registry.server first")
    elif registry.username and not password_given:
        problems.append(
            f"registry.username: no password is given for {registry.username!r}; "
            "run: pulumi config set --secret llm-stack:registryPassword"
        )
    elif password_given and not registry.username:
        problems.append(
            "registryPassword: nobody is named to whom it belongs; "
            "run: pulumi config set --path llm-stack:registry.username <name>"
        )
    return problems
