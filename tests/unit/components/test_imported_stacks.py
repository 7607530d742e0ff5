"""The program with the services of imported compose files: what a preview declares of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.config.compose.image_reference import repository_of
from components.images.published_image import FoundImage
from tests.doubles.recording_engine import StackRunner
from tests.unit.components import conftest
from tests.unit.toolchain.compose.test_published_files import (
    ROOT,
    SERVICES,
    imported,
)
from toolchain.compose.catalogue_file import catalogue_text
from toolchain.compose.validation import make_copy


def found(references: set[str], docker_host: str | None) -> dict[str, FoundImage]:
    """Every image has a digest, as if its registry had answered."""
    return {one: FoundImage(f"{repository_of(one)}@sha256:{'0' * 64}") for one in references}


@pytest.mark.parametrize("name", SERVICES)
def test_a_preview_declares_every_service_that_was_imported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_program: StackRunner
) -> None:
    done = imported(name)
    content = done.content()
    copy = tmp_path / "project"
    copy.mkdir()
    path = ROOT / "catalog" / f"{done.project.name}.yaml"
    make_copy(ROOT, copy, path, catalogue_text(content, []), done.copies, content["services"])
    for part in ("__main__.py", "app", "toolchain", "requirements.lock"):
        if not (copy / part).exists():
            (copy / part).symlink_to(ROOT / part)
    monkeypatch.setattr(conftest, "PROJECT_ROOT", copy)
    monkeypatch.setattr("components.preflight.published_images.find_images", found)
    # Of two profiles that exclude each other the first.
    enabled = [
        one.name for one in done.written if name != "n8n-starter" or one.profiles in {(), ("cpu",)}
    ]
    secrets = {one.name: "value" for one in done.secrets if one.generate is None}
    graph = run_program(
        {
            "services": ["chat-interface", *enabled],
            "values": dict.fromkeys(done.values.needed, "value"),
            "monitor": {"socketGroup": 999},
        },
        {"secrets": json.dumps(secrets)} if secrets else None,
    )
    assert set(enabled) <= set(graph.running)
