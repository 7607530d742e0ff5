"""The health check that an engine runs in a container: `healthcheck`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from components.config.compose.quantities import DurationSeconds
from components.config.compose.words import scalar_text
from components.config.schema import StrictModel, refusal

DISABLED = ("NONE",)


def _test(value: Any) -> tuple[str, ...]:
    """As Docker's API has it: `CMD` and words, `CMD-SHELL` and a line, or `NONE`."""
    if isinstance(value, str):
        return ("CMD-SHELL", value)
    words = tuple(scalar_text(word) for word in value) if isinstance(value, list | tuple) else ()
    complete = len(words) > 1 if words[:1] == ("CMD",) else len(words) == 2
    if words == DISABLED or (words[:1] in {("CMD",), ("CMD-SHELL",)} and complete):
        return words
    raise refusal(
        "is not a valid test",
        allowed="text for a shell, [CMD, program, …], [CMD-SHELL, line] or [NONE]",
    )


class HealthCheckSettings(StrictModel):
    """Compose's `healthcheck`; what is left out is Docker's default."""

    test: Annotated[
        tuple[str, ...] | None,
        BeforeValidator(_test),
        WithJsonSchema(
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        ),
    ] = None
    interval: DurationSeconds = 30
    timeout: DurationSeconds = 30
    retries: int = Field(default=3, ge=1, le=100)
    start_period: DurationSeconds = 0
    disable: bool = Field(default=False, description="whether the image's own check is off")

    @model_validator(mode="after")
    def _has_a_test(self) -> HealthCheckSettings:
        if self.test is None and not self.disable:
            raise refusal("does not have a test", allowed="test, or disable: true")
        return self

    @property
    def command(self) -> tuple[str, ...]:
        """The test, or what turns the image's own check off."""
        return DISABLED if self.disable or self.test is None else self.test
