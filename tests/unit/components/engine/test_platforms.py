"""The platforms of an image, as an engine and a registry report them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.engine.platforms import (
    ImagePlatforms,
    image_platforms,
    read_distribution,
    read_image,
)
from tests.doubles.docker_api import docker_at

DIGEST = "sha256:" + "0a" * 32
HELD, PUBLISHED = f"redis@{DIGEST}", f"ghcr.io/a/b@{DIGEST}"


def test_a_registry_is_asked_only_for_what_the_engine_does_not_have(tmp_path: Path) -> None:
    answers: dict[str, Any] = {
        f"/images/{HELD}/json": {"Os": "linux", "Architecture": "arm64"},
        f"/distribution/{PUBLISHED}/json": {
            "Platforms": [
                {"os": "linux", "architecture": "amd64"},
                {"os": "unknown", "architecture": "unknown"},
            ]
        },
    }
    asked = []

    def answer(method: str, target: str) -> tuple[int, Any]:
        asked.append(target)
        return (200, answers[target]) if target in answers else (404, {"message": "not found"})

    with docker_at(tmp_path / "d.sock") as engine:
        engine.answer = answer  # type: ignore[method-assign]
        found = image_platforms({HELD, PUBLISHED, DIGEST}, f"unix://{tmp_path}/d.sock")
    assert found == {
        HELD: ImagePlatforms(("linux/arm64",)),
        PUBLISHED: ImagePlatforms(("linux/amd64",), chosen_by_engine=True),
    }
    assert sorted(asked) == sorted(
        [*answers, f"/images/{PUBLISHED}/json", f"/images/{DIGEST}/json"]
    )


def test_no_engine_names_no_platform(tmp_path: Path) -> None:
    assert image_platforms({HELD}, f"unix://{tmp_path}/none.sock") == {}


def test_what_names_no_platform_has_none() -> None:
    assert read_image({"Os": "linux", "Architecture": ""}) is None
    assert read_distribution({"Platforms": None}) is None
