"""The fixtures of containers with SmolLM2."""

from __future__ import annotations

from tests.integration.models.conftest import containers, image

__all__ = ["containers", "image"]
