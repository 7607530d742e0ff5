"""References of published images: `image`."""

from __future__ import annotations

import pytest

from components.config.compose.image_reference import digest_of, repository_of
from tests.unit.components.config.compose.container_entry import problem, service

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("reference", "repository", "digest"),
    [
        ("postgres", "postgres", None),
        ("postgres:17", "postgres", None),
        ("docker.io/library/postgres:17", "docker.io/library/postgres", None),
        (f"postgres@{DIGEST}", "postgres", DIGEST),
        (f"postgres:17@{DIGEST}", "postgres", DIGEST),
        ("localhost/app", "localhost/app", None),
        ("localhost:5000/app:1.0", "localhost:5000/app", None),
        ("registry:5000/team/app", "registry:5000/team/app", None),
        ("Registry.Example.com:443/team/app:v1.0-RC_2", "Registry.Example.com:443/team/app", None),
        ("ghcr.io/a/b/c-d_e.f__g:x", "ghcr.io/a/b/c-d_e.f__g", None),
    ],
)
def test_a_reference_has_a_repository_and_maybe_a_digest(
    reference: str, repository: str, digest: str | None
) -> None:
    assert service(image=reference).image == reference
    assert (repository_of(reference), digest_of(reference)) == (repository, digest)


@pytest.mark.parametrize(
    "reference",
    [
        *("Postgres:17", "team/App", "postgres:", "postgres:-a", "postgres:17:18", "a b", ""),
        *("https://ghcr.io/a/b", "postgres@sha256:abc", "postgres@latest", "-a", "a//b", "a/"),
        *("postgres:17\n", "postgres:é", "x:" + "a" * 129),
    ],
)
def test_a_reference_that_the_grammar_does_not_have_is_refused(reference: str) -> None:
    assert problem(image=reference) == (
        f"image: is not a valid image reference; found {reference!r}; allowed: name:tag, best "
        "name:tag@sha256:…, such as docker.io/library/postgres:17"
    )
