"""Kind `container`: any other program, such as Redis or one of yours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, model_validator

from components.config.field_types import Name
from components.config.model import Model
from components.config.network_access import with_proxy
from components.config.problems import Problem, Source, choices
from components.config.schema import refusal
from components.images.image_sources import image_names
from components.kinds.service import Service, Stack
from components.kinds.workload import Workload

# Health check for services without HTTP: open a TCP connection.
TCP = "tcp"


class ContainerService(Service):
    """A container of an image that `docker/<image>.Dockerfile` builds."""

    kind: Literal["container"] = "container"
    image: Name = Field(description="built by docker/<image>.Dockerfile")
    health: str = Field(
        default=TCP,
        pattern=r"^(tcp|/\S*)$",
        description="the health check: a path by HTTP, or tcp for a connection",
    )
    environment: dict[str, str] = Field(default_factory=dict)
    stop_grace: int = Field(default=10, ge=1, le=600, description="seconds to end after SIGTERM")
    start_timeout: int = Field(default=120, ge=1)

    @model_validator(mode="after")
    def _a_connection_has_no_response(self) -> ContainerService:
        if self.expect and self.health == TCP:
            raise refusal(
                "has expect, but its health check is a TCP connection without a response",
                allowed="expect with health: and a path",
            )
        return self

    def workload(self, stack: Stack) -> Workload:
        return Workload(
            image=self.image,
            stop_grace=self.stop_grace,
            environment=with_proxy(self.environment, stack.proxy_environment),
        )

    def health_check(self, host: str) -> dict[str, object]:
        if self.health == TCP:
            return {"kind": TCP, "url": f"tcp://{host}:{self.port}"}
        return {"kind": "http", "url": f"http://{host}:{self.port}{self.health}"}

    def problems(
        self, name: str, models: Mapping[str, Model | None], source: Source
    ) -> Iterator[Problem]:
        known = image_names()
        if self.image not in known:
            yield source.problem(
                ("services", name, "image"),
                f"there is no docker/{self.image}.Dockerfile",
                found=self.image,
                allowed=choices(self.image, known),
            )
