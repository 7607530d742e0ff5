"""Pins base images in a stack's settings: pin_base_images.py [--check] STACK...

Writes the present digest of each tag that the published images are built on to
llm-stack:baseImages in Pulumi.STACK.yaml. With --check it prints the changes of stacks whose base
images are pinned, and writes nothing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

PROJECT_ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(PROJECT_ROOT))

from published_images import published_images  # noqa: E402

from components.config.problems import Problem, SettingsError  # noqa: E402
from components.config.stack_settings import PROJECT, BaseImages  # noqa: E402

BASE_IMAGES, REGISTRY = f"{PROJECT}:baseImages", f"{PROJECT}:registry"


class NotFoundError(Exception):
    """A registry did not return the digest of a tag."""


def used(stack: str) -> dict[str, str]:
    """The base images of a stack's published images, by the key of `llm-stack:baseImages`."""
    images = list(published_images(stack))
    if not images:
        raise SettingsError(
            [Problem(f"Pulumi.{stack}.yaml", REGISTRY, "is missing: docs/ci.md, Registry")]
        )
    arguments = {value for image in images for value in image.sources.build_args.values()}
    settings = _settings(Path(f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    configured = BaseImages.model_validate(settings.get(BASE_IMAGES) or {})
    references = configured.model_dump(by_alias=True)
    return {key: value for key, value in references.items() if value in arguments}


def digest(reference: str) -> str:
    """The digest of a tag, for all platforms; raises `NotFoundError`."""
    command = ["docker", "buildx", "imagetools", "inspect", reference]
    answer = subprocess.run(
        [*command, "--format", "{{.Manifest.Digest}}"], capture_output=True, text=True
    )
    if answer.returncode:
        raise NotFoundError(f"{reference}: {answer.stderr.strip()}")
    return answer.stdout.strip()


def pinned(text: str, references: dict[str, str]) -> str:
    """The content of a stack's file with these base images; its comments stay."""
    config = _value(yaml.compose(text), "config")
    images = _value(config, BASE_IMAGES)
    images = images if images and images.value else None
    known = {key.value: value for key, value in images.value} if images else {}
    edits = [
        (known[key].start_mark.index, known[key].end_mark.index, reference)
        for key, reference in references.items()
        if key in known
    ]
    new = {key: reference for key, reference in references.items() if key not in known}
    anchor = images.value[0][0] if images else _key(config, REGISTRY)
    column = anchor.start_mark.column + (0 if images else 2)
    lines = "".join(f"{' ' * column}{key}: {reference}\n" for key, reference in new.items())
    if new and not images:
        lines = f"{' ' * anchor.start_mark.column}{BASE_IMAGES}:\n{lines}"
    at = anchor.start_mark.index - anchor.start_mark.column
    for start, end, replacement in sorted([*edits, (at, at, lines)], reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


def _key(mapping: Any, name: str) -> Any:
    return next((key for key, _ in mapping.value if key.value == name), None)


def _value(mapping: Any, name: str) -> Any:
    return next((value for key, value in mapping.value if key.value == name), None)


def _settings(text: str) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load(text)["config"]
    return settings


def _checked(file: str, text: str, changed: dict[str, str]) -> str:
    """The edited text; raises `SettingsError` if the edit changed anything else."""
    edited, expected = pinned(text, changed), _settings(text)
    expected[BASE_IMAGES] = {**(expected.get(BASE_IMAGES) or {}), **changed}
    try:
        is_right = _settings(edited) == expected
    except yaml.YAMLError:
        is_right = False
    if not is_right:
        message = f"has a form that this script cannot edit; set {changed}"
        raise SettingsError([Problem(file, BASE_IMAGES, message)])
    return edited


def pin(stack: str, *, check: bool) -> list[str]:
    """Pin the base images of one stack; return a line for each change."""
    path = Path(f"Pulumi.{stack}.yaml")
    references = used(stack)
    if check and not any("@" in reference for reference in references.values()):
        return []
    names = {key: reference.partition("@")[0] for key, reference in references.items()}
    wanted = {key: f"{name}@{digest(name)}" for key, name in names.items()}
    changed = {key: value for key, value in wanted.items() if value != references[key]}
    if changed and not check:
        text = path.read_text(encoding="utf-8")
        path.write_text(_checked(path.name, text, changed), encoding="utf-8")
    return [f"{path.name}: baseImages.{key}: {value}" for key, value in changed.items()]


def main(arguments: list[str]) -> int:
    """Pin the base images of every stack; return the exit code."""
    check = "--check" in arguments
    stacks = [argument for argument in arguments if argument != "--check"]
    if not stacks:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        for stack in stacks:
            for line in pin(stack, check=check):
                print(line)
    except (NotFoundError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
