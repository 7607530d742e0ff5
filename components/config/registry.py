"""The image registry of a stack: settings `registry` and `imageDigests`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from components.config.field_types import Form
from components.config.problems import Problem, Source, choices
from components.config.schema import CamelModel

Platform = Literal["linux/amd64", "linux/arm64"]
# Host and port; a scheme or a path would end up in the names of images.
Server = Annotated[
    str,
    Form(
        r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?",
        "a valid registry",
        "host or host:port, such as ghcr.io",
    ),
    Field(examples=["ghcr.io"]),
]
# The path components of a name: github.com/distribution/reference, `regexp.go`.
Repository = Annotated[
    str,
    Form(
        r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*",
        "a valid repository",
        "lower-case letters and digits, with . _ - between them, parts separated by /",
    ),
]
Digest = Annotated[
    str, Form(r"sha256:[0-9a-f]{64}", "a valid digest", "sha256: and 64 of 0-9 and a-f")
]


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
        """Whether the engine uses plain HTTP for it, as for every registry on the loopback."""
        host = self.server.partition(":")[0]
        return host == "localhost" or host.startswith("127.")

    def has(self, reference: str) -> bool:
        """Whether a reference names this registry, also outside of the stack's repository."""
        return reference.startswith(f"{self.server}/")


def registry_problems(
    registry: RegistrySettings | None,
    digests: Mapping[str, str],
    *,
    password_given: bool,
    images: Iterable[str],
    source: Source,
) -> Iterator[Problem]:
    """What keeps a stack from using its registry."""
    known = list(images)
    for name in digests:
        if name not in known:
            yield source.problem(
                ("imageDigests", name),
                "is not an image of this project",
                allowed=choices(name, known),
                run=source.remove_command(("imageDigests", name)),
            )
    if registry is None:
        if password_given:
            yield source.problem(
                ("registryPassword",),
                "is set but registry.server is not",
                run="pulumi config set --path llm-stack:registry.server <host>",
            )
    elif registry.username and not password_given:
        yield source.problem(
            ("registry", "username"),
            "is set but registryPassword is not",
            found=registry.username,
            run="pulumi config set --secret llm-stack:registryPassword",
        )
    elif password_given and not registry.username:
        yield source.problem(
            ("registryPassword",),
            "is set but registry.username is not",
            run="pulumi config set --path llm-stack:registry.username <name>",
        )
