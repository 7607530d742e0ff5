"""Variables, env_file, profiles and the project's name."""

from __future__ import annotations

import pytest

from tests.unit.toolchain.compose.conftest import Files, Loading
from toolchain.compose.project import project_name

PROFILES = """
services:
  always: {image: a}
  cpu: {image: a, profiles: [cpu]}
  gpu: {image: a, profiles: [gpu, all]}
"""


def test_the_shell_comes_before_the_file_of_variables(load: Loading, write: Files) -> None:
    write(".env", "TAG=file\nOTHER=file\n")
    text = "services: {a: {image: 'a:${TAG}-${OTHER}'}}"
    assert load(text, environment={"TAG": "shell"}).services["a"]["image"] == "a:shell-file"


def test_given_files_of_variables_replace_the_usual_one(load: Loading, write: Files) -> None:
    write(".env", "TAG=usual\n")
    given = [write("one.env", "TAG=one\nMORE=x\n"), write("two.env", "TAG=two\n")]
    service = load("services: {a: {image: 'a:${TAG}${MORE}'}}", env_files=given).services["a"]
    assert service["image"] == "a:twox"


def test_env_file_in_each_form_is_below_environment(load: Loading, write: Files) -> None:
    write("one.env", "A=1\nB=1\nPRICE='$5'\n")
    write("two.env", "B=2\nC=2\n")
    project = load(
        """
        services:
          a:
            image: a
            env_file: [one.env, {path: two.env}, {path: gone.env, required: false}]
            environment: {C: "3"}
          b: {image: b, env_file: missing.env}
        """
    )
    assert project.services["a"]["environment"] == {"A": "1", "B": "2", "PRICE": "$5", "C": "3"}
    assert project.missing == [("b", "missing.env")]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((), {"always", "cpu", "gpu"}),
        (("cpu",), {"always", "cpu"}),
        (("all",), {"always", "gpu"}),
        (("*",), {"always", "cpu", "gpu"}),
    ],
)
def test_profiles(load: Loading, given: tuple[str, ...], names: set[str]) -> None:
    project = load(PROFILES, profiles=given)
    assert set(project.services) == names
    assert {*project.services, *project.left_out} == {"always", "cpu", "gpu"}


@pytest.mark.parametrize(
    ("text", "name"),
    [("My Shop_2", "my-shop-2"), ("42", "imported"), ("", "imported"), ("1password", "password")],
)
def test_the_name_of_the_project(text: str, name: str) -> None:
    assert project_name(text) == name


def test_the_project_is_called_as_compose_calls_it(load: Loading) -> None:
    assert load("name: Plane\nservices: {a: {image: a}}").name == "plane"
    assert load("services: {a: {image: a}}").name == "shop"
    named = load("services: {a: {image: a}}", environment={"COMPOSE_PROJECT_NAME": "given"})
    assert named.name == "given"
