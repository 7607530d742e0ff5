"""Secrets of containers: generated ones, those of the stack, and where their values may be."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.config.problems import Source
from components.config.stack_secrets import named_secrets
from components.config.yaml_document import read_document
from tests.doubles.recording_engine import Graph
from tests.unit.components.conftest import Project

DIGEST = "sha256:" + "0a" * 32
GENERATED = f"""
secrets:
  db-password: {{generate: 24}}
  encryption-key: {{generate: 64, alphabet: hex}}
  unused: {{generate: 32}}
services:
  app:
    kind: container
    image: redis:7@{DIGEST}
    secrets: [db-password, encryption-key]
  db:
    kind: container
    image: redis:7@{DIGEST}
    secrets: {{db-password: /etc/db/password}}
"""
OWN = f"""
services:
  app:
    kind: container
    image: redis:7@{DIGEST}
    secrets: {{files: /run/secrets/of-app, placed: /etc/app/key.pem}}
    secret_environment:
      DATABASE_URL: "postgres://${{user}}:${{password}}@db/app"
"""
VALUES = {name: f"marker-{name}" for name in ("files", "placed", "user", "password")}


def uploaded(graph: Graph, carrier: str) -> dict[str, str]:
    """By path: what a carrier puts into its volume."""
    uploads = graph.of("Container")[carrier].inputs["uploads"]
    return {one["file"]: one["content"] for one in uploads}


def test_a_generated_secret_has_its_length_and_alphabet(project: Project) -> None:
    graph = project.run(GENERATED)
    values = uploaded(graph, "app-secrets-carrier")
    password = values["/run/secrets/db-password"]
    assert len(password) == 24
    assert set(password) <= set(string.ascii_letters + string.digits)
    assert not set(password) <= set("0123456789abcdef"), "but for one in 10^14"
    key = values["/run/secrets/encryption-key"]
    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")


def test_a_generated_secret_is_the_same_for_all_services(project: Project) -> None:
    graph = project.run(GENERATED)
    password = uploaded(graph, "app-secrets-carrier")["/run/secrets/db-password"]
    assert uploaded(graph, "db-placed-secrets-carrier") == {"/files/db-password": password}


def test_a_generated_secret_stays_in_the_state_and_is_encrypted_there(project: Project) -> None:
    stash = project.run(GENERATED).of("Stash")
    kept = stash["secret-db-password-value"]
    assert kept.ignored == ("input",), "each run draws another one, and the first one stays"
    assert kept.secrets == {"input"}
    assert "secret-unused-value" not in stash


def test_two_runs_draw_two_secrets(project: Project) -> None:
    first, second = (
        project.run(GENERATED).of("Stash")["secret-db-password-value"].inputs["input"]
        for _ in range(2)
    )
    assert first != second


def test_the_secret_of_the_stack_is_used_instead_of_a_generated_one(project: Project) -> None:
    graph = project.run(GENERATED, {"secrets": {"db-password": "marker-own"}})
    values = uploaded(graph, "app-secrets-carrier")
    assert values["/run/secrets/db-password"] == "marker-own"
    assert "secret-db-password-value" not in graph.of("Stash")
    assert "secret-encryption-key-value" in graph.of("Stash"), "the other one is still generated"


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("{generate: 7}", "secrets.pw.generate: is too small; found 7; allowed: at least 8"),
        ("{generate: 257}", "secrets.pw.generate: is too large; found 257; allowed: at most 256"),
        ("{}", "secrets.pw.generate: is missing"),
        (
            "{generate: 8, alphabet: all}",
            "secrets.pw.alphabet: is not a valid value; found 'all'; allowed: hex, letters-digits",
        ),
        ("hunter2", "secrets.pw: is not a mapping; found 'hunter2'; allowed: alphabet, generate"),
    ],
)
def test_a_generated_secret_of_another_form_is_refused(
    project: Project, secret: str, problem: str
) -> None:
    catalogue = f"services: {{aa: {{kind: container, build: carrier}}}}\nsecrets: {{pw: {secret}}}"
    assert project.refusal(catalogue) == [f"services.yaml:2: {problem}"]


def test_secrets_of_the_stack_are_files_and_texts(project: Project) -> None:
    graph = project.run(OWN, {"secrets": VALUES})
    assert uploaded(graph, "app-secrets-carrier") == {"/run/secrets/of-app": "marker-files"}
    assert uploaded(graph, "app-placed-secrets-carrier") == {"/files/placed": "marker-placed"}
    app = graph.running["app"]
    assert app.inputs["envs"] == ["DATABASE_URL=postgres://marker-user:marker-password@db/app"]
    paths = {one["containerPath"] for one in app.inputs["volumes"]}
    assert paths == {"/run/secrets", "/etc/app/key.pem"}


@pytest.mark.parametrize("orchestrator", ["docker", "swarm"])
def test_a_secret_is_in_no_input_that_is_not_encrypted(project: Project, orchestrator: str) -> None:
    config: dict[str, Any] = {"orchestrator": orchestrator}
    if orchestrator == "swarm":
        config["swarm"] = {"singleNode": True}
    graph = project.run(OWN, {"secrets": VALUES}, **config)
    plain = [
        (one.name, key)
        for one in graph.resources
        for key, value in one.inputs.items()
        if "marker-" in str(value) and key not in one.secrets
    ]
    # A Swarm's secrets are in Base64.
    assert plain == []
    assert not any("marker-" in str(value) for value in graph.outputs.values())
    carriers = {one.name for one in graph.resources if "marker-" in str(one)}
    assert carriers >= {"app"}, "the marker is somewhere at all"


def test_files_with_secrets_are_in_the_files_of_their_service_alone(project: Project) -> None:
    graph = project.run(OWN, {"secrets": VALUES})
    assert graph.is_only_in_files("marker-files", "app-secrets")
    assert graph.is_only_in_files("marker-placed", "app-placed-secrets")


def test_a_secret_that_no_service_names_is_nowhere(project: Project) -> None:
    graph = project.run(GENERATED, {"secrets": {"other": "marker-other"}})
    assert "marker-other" not in str(graph.resources)


def test_a_secret_in_plain_text_is_refused_and_not_shown(project: Project) -> None:
    # Among the settings, and not among the encrypted ones.
    config = {"services": "all", "secrets": {"db-password": "hunter2"}}
    project.write("services.yaml", GENERATED)
    with pytest.raises(pulumi.RunError) as refusal:
        project.run_program(config)
    assert str(refusal.value) == (
        "Pulumi.test.yaml: llm-stack:secrets.db-password: is stored in plain text; revoke it at "
        "its issuer; run: pulumi config set --secret --path llm-stack:secrets.db-password"
    )


def problems_of(text: str | None, folder: Path, stored: str = "config: {}\n") -> list[str]:
    """The problems of the secrets in a stack's file."""
    path = folder / "Pulumi.dev.yaml"
    path.write_text(stored, encoding="utf-8")
    source = Source("Pulumi.dev.yaml", "llm-stack:", read_document(path), ("config",))
    return [str(one) for one in named_secrets(text, source)[1]]


@pytest.fixture
def encrypted_map() -> None:
    """What Pulumi passes for a map with one encrypted value or more."""
    pulumi.runtime.set_all_config({"llm-stack:secrets": "{}"}, ["llm-stack:secrets"])


@pytest.mark.usefixtures("encrypted_map")
def test_a_plain_value_beside_an_encrypted_one_is_reported_with_its_line(tmp_path: Path) -> None:
    stored = (
        "config:\n  llm-stack:secrets:\n    encrypted:\n      secure: AAABAAAA\n"
        "    plain: hunter2\n"
    )
    values = json.dumps({"encrypted": "a", "plain": "hunter2"})
    assert problems_of(values, tmp_path, stored) == [
        "Pulumi.dev.yaml:5: llm-stack:secrets.plain: is stored in plain text; revoke it at its "
        "issuer; run: pulumi config set --secret --path llm-stack:secrets.plain"
    ]


@pytest.mark.usefixtures("encrypted_map")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "hunter2",
            "llm-stack:secrets: is not a map of secrets; run: pulumi config set --secret --path "
            "llm-stack:secrets.<name>",
        ),
        (
            '["hunter2"]',
            "llm-stack:secrets: is not a map of secrets; run: pulumi config set --secret --path "
            "llm-stack:secrets.<name>",
        ),
        (
            '{"a": ""}',
            "llm-stack:secrets.a: is not a text; run: pulumi config set --secret --path "
            "llm-stack:secrets.a",
        ),
        (
            '{"a": {"b": "hunter2"}}',
            "llm-stack:secrets.a: is not a text; run: pulumi config set --secret --path "
            "llm-stack:secrets.a",
        ),
    ],
)
def test_secrets_of_the_stack_of_another_form_are_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert problems_of(text, tmp_path) == [f"Pulumi.dev.yaml:1: {problem}"]


@pytest.mark.usefixtures("encrypted_map")
def test_a_stack_without_secrets_has_no_problem(tmp_path: Path) -> None:
    assert problems_of(None, tmp_path) == []
    assert problems_of('{"a": "b"}', tmp_path) == []
