"""The files of a catalogue: `services.yaml`, `catalog/*.yaml`, and the stack's values in them."""

from __future__ import annotations

import pytest

from tests.unit.components.conftest import Project

DIGEST = "sha256:" + "0a" * 32
IMAGE = f"kind: container, image: 'redis:7@{DIGEST}'"
MAIN = f"services:\n  app: {{{IMAGE}}}\n  other: {{{IMAGE}}}\n"


def problem_of(project: Project, text: str, **config: object) -> str:
    (problem,) = project.refusal(text, **config)
    return problem


def test_all_means_services_yaml_alone(project: Project) -> None:
    project.write("catalog/more.yaml", f"services: {{more: {{{IMAGE}}}}}\n")
    running = project.run(MAIN, services="all").running
    assert {"app", "other"} <= running.keys()
    assert "more" not in running


def test_an_entry_of_catalog_is_enabled_by_its_name(project: Project) -> None:
    project.write(
        "catalog/more.yaml",
        f"secrets: {{pw: {{generate: 32}}}}\nservices: {{more: {{{IMAGE}, secrets: [pw]}}}}\n",
    )
    graph = project.run(MAIN, services=["more", "app"])
    assert {"app", "more"} <= graph.running.keys()
    assert "other" not in graph.running
    assert "secret-pw-value" in graph.of("Stash")


@pytest.mark.parametrize("services", ["all", ["app"]])
def test_catalog_is_not_read_where_no_name_needs_it(project: Project, services: object) -> None:
    project.write("catalog/broken.yaml", "services: [")
    assert "app" in project.run(MAIN, services=services).running


def test_a_broken_file_of_catalog_is_reported_where_a_name_needs_it(project: Project) -> None:
    project.write("catalog/broken.yaml", "services: [")
    project.write("catalog/more.yaml", f"services: {{more: {{{IMAGE}}}}}\n")
    assert problem_of(project, MAIN, services=["more"]).startswith(
        "catalog/broken.yaml:1: is not YAML: "
    )


def test_other_files_of_catalog_are_not_part_of_it(project: Project) -> None:
    project.write("catalog/more/compose.yaml", "services: [")
    project.write("catalog/README.md", "# Read me")
    project.write("catalog/more.yaml", f"services: {{more: {{{IMAGE}}}}}\n")
    assert "more" in project.run(MAIN, services=["more"]).running


def test_an_unknown_name_is_refused_with_all_names(project: Project) -> None:
    project.write("catalog/more.yaml", f"services: {{more: {{{IMAGE}}}}}\n")
    assert problem_of(project, MAIN, services=["mor"]) == (
        "Pulumi.test.yaml: llm-stack:services.0: is not a service of services.yaml or catalog/; "
        "found 'mor'; did you mean 'more'? allowed: app, more, other"
    )


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (
            f"services: {{app: {{{IMAGE}}}, more: {{{IMAGE}}}}}",
            "catalog/more.yaml:1: services.app: is also in services.yaml; allowed: each name once",
        ),
        (
            f"secrets: {{pw: {{generate: 8}}}}\nservices: {{more: {{{IMAGE}}}}}",
            "catalog/more.yaml:1: secrets.pw: is also in services.yaml; allowed: each name once",
        ),
    ],
)
def test_a_name_of_two_files_is_refused(project: Project, more: str, problem: str) -> None:
    project.write("catalog/more.yaml", more)
    main = f"{MAIN}secrets: {{pw: {{generate: 32}}}}\n"
    assert problem_of(project, main, services=["app", "more"]) == problem


def test_a_name_of_two_files_of_catalog_is_refused_where_it_is_enabled(project: Project) -> None:
    project.write("catalog/aa.yaml", f"services: {{more: {{{IMAGE}}}, aa: {{{IMAGE}}}}}")
    project.write("catalog/bb.yaml", f"services: {{more: {{{IMAGE}}}}}")
    assert problem_of(project, MAIN, services=["more"]) == (
        "catalog/bb.yaml:1: services.more: is also in catalog/aa.yaml; allowed: each name once"
    )
    assert "aa" in project.run(MAIN, services=["aa"]).running


def test_problems_of_entries_that_are_not_enabled_do_not_matter(project: Project) -> None:
    project.write(
        "catalog/more.yaml",
        f"services:\n  more: {{{IMAGE}}}\n  wrong: {{{IMAGE}, port: many}}\n"
        f"  missing: {{{IMAGE}, volumes: ['./none:/x']}}\n  odd: {{kind: none}}\n",
    )
    assert "more" in project.run(MAIN, services=["more"]).running
    assert problem_of(project, MAIN, services=["more", "wrong"]) == (
        "catalog/more.yaml:3: services.wrong.port: is not a whole number; found 'many'; allowed: a "
        "whole number"
    )


def test_problems_of_services_yaml_always_matter(project: Project) -> None:
    main = f"{MAIN}  wrong: {{{IMAGE}, port: many}}\n"
    assert problem_of(project, main, services=["app"]).startswith(
        "services.yaml:4: services.wrong.port: is not a whole number"
    )


def test_an_entry_of_catalog_depends_on_one_of_another_file(project: Project) -> None:
    project.write("catalog/aa.yaml", f"services: {{aa: {{{IMAGE}, depends_on: [bb, app]}}}}")
    project.write("catalog/bb.yaml", f"services: {{bb: {{{IMAGE}}}}}")
    graph = project.run(MAIN, services=["aa", "bb", "app"])
    assert {"bb-gate", "app-gate"} <= graph.running["aa"].depends_on
    assert problem_of(project, MAIN, services=["aa", "app"]) == (
        "catalog/aa.yaml:1: services.aa.depends_on.bb: is not enabled in this stack; found 'bb'; "
        'run: pulumi config set llm-stack:services \'["aa", "app", "bb"]\''
    )


def test_keys_for_anchors_are_left_out(project: Project) -> None:
    graph = project.run(
        f"""
x-common: &common
  kind: container
  image: redis:7@{DIGEST}
  stop_grace: 33
x-note: ${{config:NOTHING}}
services:
  app:
    <<: *common
    command: serve
  other:
    <<: *common
    stop_grace: 44
"""
    )
    assert graph.running["app"].inputs["stopTimeout"] == 33
    assert graph.running["app"].inputs["command"] == ["serve"]
    assert graph.running["other"].inputs["stopTimeout"] == 44


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "service: {}",
            "services.yaml:1: service: unknown key; did you mean 'services'? allowed: models, "
            "secrets, services",
        ),
        (
            "services: {app: redis}",
            "services.yaml:1: services.app: is not a mapping; found 'redis'; allowed: kind: …",
        ),
        (
            "services: {App: {kind: container}}",
            "services.yaml:1: services.App: is not a valid name; found 'App'; allowed: 2 to 40 of "
            "a-z, 0-9 and -, beginning with a letter, not ending in -",
        ),
        (
            "services: {app: {kind: container}}",
            "services.yaml:1: services.app: does not have one image; allowed: image: a published "
            "one, or build: docker/<build>.Dockerfile",
        ),
        (
            f"services: {{app: {{{IMAGE}, build: carrier}}}}",
            "services.yaml:1: services.app: does not have one image; allowed: image: a published "
            "one, or build: docker/<build>.Dockerfile",
        ),
        (
            "services: {app: {kind: container, image: carrier}}",
            "services.yaml:1: services.app.image: is built by docker/carrier.Dockerfile, and not "
            "published; found 'carrier'; allowed: build: carrier, or a reference with a tag",
        ),
        (
            "services: ${config:SERVICES}",
            "services.yaml:1: services: has ${config:SERVICES}, which this stack does not set; "
            "allowed: none; run: pulumi config set --path llm-stack:values.SERVICES <value>",
        ),
    ],
)
def test_a_catalogue_of_another_form_is_refused(project: Project, text: str, problem: str) -> None:
    assert problem in project.refusal(text, services=["app"])


TEXTS = f"""
services:
  app:
    {IMAGE.replace(", ", chr(10) + "    ")}
    command: [serve, --name, "${{config:NAME}}", "--size=${{config:SIZE:-48}}"]
    environment: {{EMPTY: "${{config:NOTHING:-}}", BOTH: "${{config:NAME}}-${{config:NAME}}"}}
  other:
    {IMAGE.replace(", ", chr(10) + "    ")}
    environment: {{A: "${{config:OTHER}}"}}
"""


def test_values_of_the_stack_stand_in_texts(project: Project) -> None:
    graph = project.run(TEXTS, services=["app"], values={"NAME": "one", "SIZE": 64})
    app = graph.running["app"].inputs
    assert app["command"] == ["serve", "--name", "one", "--size=64"]
    assert app["envs"] == ["BOTH=one-one", "EMPTY="]


def test_a_default_is_used_where_the_stack_has_no_value(project: Project) -> None:
    graph = project.run(TEXTS, services=["app"], values={"NAME": "one"})
    assert graph.running["app"].inputs["command"][-1] == "--size=48"


def test_a_value_that_the_stack_does_not_set_is_reported_for_enabled_services(
    project: Project,
) -> None:
    problems = project.refusal(TEXTS, services=["app"], values={"NAM": "one"})
    assert problems[0] == (
        "services.yaml:6: services.app.command.2: has ${config:NAME}, which this stack does not "
        "set; did you mean 'NAM'? allowed: NAM; run: pulumi config set --path "
        "llm-stack:values.NAME <value>"
    )
    assert all("services.app." in problem for problem in problems)
    both = project.refusal(TEXTS, services="all", values={"NAME": "one"})
    assert [text.split("; ")[0] for text in both] == [
        "services.yaml:11: services.other.environment.A: has ${config:OTHER}, which this stack "
        "does not set"
    ]


def test_a_value_is_plain_text_and_not_yaml(project: Project) -> None:
    graph = project.run(TEXTS, services=["app"], values={"NAME": "{a: [b]}"})
    assert graph.running["app"].inputs["command"][2] == "{a: [b]}"


def test_a_port_may_be_a_value_of_the_stack(project: Project) -> None:
    text = f"services: {{app: {{{IMAGE}, port: '${{config:PORT}}'}}}}"
    graph = project.run(text, values={"PORT": 8080})
    assert "tcp://app:8080" in graph.list_file("monitor", "services.json")
