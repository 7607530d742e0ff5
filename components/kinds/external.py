"""Kind `external`: an OpenAI-compatible server that the stack does not run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from components.config.schema import refusal
from components.config.serves import ServerUrl, Serves
from components.kinds.service import ServedApi, Service


class ExternalService(Service):
    """A server on another machine, or a provider's: its models are used by name only."""

    kind: Literal["external"] = "external"
    description: str = ""
    url: ServerUrl = Field(description="of the server, without the path of its API")
    serves: Serves

    @model_validator(mode="after")
    def _expects_of_a_health_check(self) -> ExternalService:
        if self.expect and self.health_check("") is None:
            raise refusal(
                "has expect, but the monitor does not check it",
                allowed="expect with serves.health and without serves.api_key",
            )
        return self

    def health_check(self, host: str) -> dict[str, object] | None:
        """The monitor has no API keys: it asks only a path that works without one."""
        if self.serves.health is None or self.serves.api_key is not None:
            return None
        return {"kind": "http", "url": f"{self.url}{self.serves.health}"}

    def served_api(self, name: str) -> ServedApi:
        return ServedApi(self.url, self.serves, self.description, external=True)
