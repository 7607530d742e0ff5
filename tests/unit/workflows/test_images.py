"""From a stack's settings to published images, and from these to the digests that a stack runs."""

from __future__ import annotations

import json

from components.images.image_sources import image_names
from tests.unit.workflows.conftest import ProjectMaker, World

PROD = """
config:
  llm-stack:services: all
  llm-stack:registry:
    server: registry.example.com
    repository: team/llm-stack
    platforms: [linux/amd64, linux/arm64]
"""
DIGEST = "sha256:" + "a" * 64


def test_every_image_is_built_for_every_platform_on_its_own_processor(
    world: World, project: ProjectMaker
) -> None:
    listed = world.run("list-images", cwd=project(prod=PROD), STACKS='["prod"]').stdout
    outputs = dict(line.split("=", 1) for line in listed.splitlines())
    jobs = json.loads(outputs["matrix"])["include"]
    assert {(j["image"], j["platform"]) for j in jobs} == {
        (image, platform) for image in image_names() for platform in ("linux/amd64", "linux/arm64")
    }
    assert all(("arm" in j["runner"]) == ("arm64" in j["platform"]) for j in jobs)
    (chat,) = [j for j in jobs if (j["image"], j["platform"]) == ("chat", "linux/arm64")]
    assert chat["reference"].startswith("registry.example.com/team/llm-stack/chat:")
    assert chat["reference"].endswith("-arm64")
    assert chat["arguments"] == "BASE_IMAGE=python:3.11-slim"
    assert (chat["context"], chat["dockerfile"]) == ("app/chat", "docker/chat.Dockerfile")
    assert (outputs["stacks"], outputs["any"]) == ("prod", "true")


def test_stacks_that_share_a_registry_share_its_images(world: World, project: ProjectMaker) -> None:
    root = project(prod=PROD, staging=PROD)
    listed = world.run("list-images", cwd=root, STACKS='["prod", "staging"]').stdout
    outputs = dict(line.split("=", 1) for line in listed.splitlines())
    assert len(json.loads(outputs["matrix"])["include"]) == 2 * len(image_names())


def test_a_stack_without_registry_has_nothing_published(
    world: World, project: ProjectMaker
) -> None:
    root = project(prod="config:\n  llm-stack:services: all\n")
    assert "any=false" in world.run("list-images", cwd=root, STACKS='["prod"]').stdout


def test_a_stack_that_is_not_there_is_told(world: World, project: ProjectMaker) -> None:
    refused = world.run("list-images", cwd=project(), STACKS='["prd"]', check=False)
    assert refused.returncode != 0
    assert "Pulumi.prd.yaml: there is no such file" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_bad_registry_is_told(world: World, project: ProjectMaker) -> None:
    root = project(prod=PROD.replace("registry.example.com", "https://registry.example.com"))
    refused = world.run("list-images", cwd=root, STACKS='["prod"]', check=False)
    assert "Pulumi.prod.yaml: llm-stack:registry.server: " in refused.stderr


BUILD = {
    "REFERENCE": "registry.example.com/team/chat:0123-arm64",
    "CACHE": "registry.example.com/team/chat:cache-arm64",
    "PLATFORM": "linux/arm64",
    "CONTEXT": "app/chat",
    "DOCKERFILE": "docker/chat.Dockerfile",
    "BUILD_ARGUMENTS": "BASE_IMAGE=python:3.11-slim\nOTHER=with a space",
}


def test_an_image_is_pushed_with_its_contents_and_provenance(world: World) -> None:
    world.pretend("docker")
    world.answer("imagetools", code=1)
    world.answer("inspect", code=1)
    world.run("build-image", **BUILD)
    assert world.calls("create") == [
        ["docker", "buildx", "create", "--name", "llm-stack", "--driver", "docker-container"]
    ]
    (build,) = world.calls("build")
    assert build[:4] == ["docker", "buildx", "build", "app/chat"]
    for option, value in (
        ("--builder", "llm-stack"),
        ("--file", "docker/chat.Dockerfile"),
        ("--platform", "linux/arm64"),
        ("--tag", "registry.example.com/team/chat:0123-arm64"),
    ):
        assert build[build.index(option) + 1] == value
    arguments = [build[at + 1] for at, word in enumerate(build) if word == "--build-arg"]
    assert arguments == ["BASE_IMAGE=python:3.11-slim", "OTHER=with a space"]
    assert {"--sbom=true", "--provenance=mode=max", "--push"} <= set(build)


def test_an_image_without_arguments_is_built(world: World) -> None:
    world.pretend("docker")
    world.answer("imagetools", code=1)
    world.run("build-image", **{**BUILD, "BUILD_ARGUMENTS": ""})
    (build,) = world.calls("build")
    assert "--build-arg" not in build
    assert world.calls("create") == [], "the builder of an earlier step is used"


def test_a_published_image_is_not_built_again(world: World) -> None:
    world.pretend("docker")
    world.run("build-image", **BUILD)
    assert world.calls("build") == []


def test_one_reference_leads_to_all_platforms(world: World, project: ProjectMaker) -> None:
    world.pretend("docker")
    world.answer("inspect", code=1)
    world.run("join-platforms", "prod", cwd=project(prod=PROD))
    created = world.calls("create")
    assert len(created) == len(image_names()), "one call reads nothing of the others' lines"
    for call in created:
        assert call[:5] == ["docker", "buildx", "imagetools", "create", "--tag"]
        reference, *platforms = call[5:]
        assert platforms == [f"{reference}-amd64", f"{reference}-arm64"]


def test_published_images_are_pinned_by_digest(world: World, project: ProjectMaker) -> None:
    world.pretend("docker", "pulumi")
    world.answer("imagetools", says=DIGEST)
    world.run("pin-images", "prod", "--all", cwd=project(prod=PROD))
    assert world.calls("pulumi") == [
        [
            *("pulumi", "config", "set", "--stack", "prod"),
            *("--path", f"llm-stack:imageDigests.{image}", DIGEST),
        ]
        for image in image_names()
    ]


def test_a_preview_goes_on_without_images_that_are_not_published(
    world: World, project: ProjectMaker
) -> None:
    world.pretend("docker", "pulumi")
    world.answer("imagetools", code=1)
    said = world.run("pin-images", "prod", cwd=project(prod=PROD)).stdout
    assert said.count("is not published yet") == len(image_names())
    assert world.calls("pulumi") == []


def test_a_deployment_stops_without_them(world: World, project: ProjectMaker) -> None:
    world.pretend("docker", "pulumi")
    world.answer("imagetools", code=1)
    refused = world.run("pin-images", "prod", "--all", cwd=project(prod=PROD), check=False)
    assert refused.returncode == 1
    assert f"has not published {' '.join(image_names())} for this commit" in refused.stderr


def test_a_password_reaches_docker_by_its_standard_input_alone(
    world: World, project: ProjectMaker
) -> None:
    world.pretend("docker")
    login = {"REGISTRY_USERNAME": "robot", "REGISTRY_PASSWORD": "not-a-password"}
    world.run("sign-in", "prod", cwd=project(prod=PROD), **login)
    assert world.calls() == [
        [
            *("docker", "login", "registry.example.com"),
            *("--username", "robot", "--password-stdin"),
        ]
    ]
    assert world.told("login") == ["not-a-password"]


def test_without_a_password_the_registry_is_asked_as_nobody(
    world: World, project: ProjectMaker
) -> None:
    world.pretend("docker")
    world.run("sign-in", "prod", cwd=project(prod=PROD))
    assert world.calls() == []
    settings = world.home / ".docker" / "config.json"
    assert settings.read_text() == "{}\n", "the Docker provider reads it and must find it"


def test_an_earlier_login_is_kept(world: World, project: ProjectMaker) -> None:
    settings = world.home / ".docker" / "config.json"
    settings.parent.mkdir()
    settings.write_text('{"auths": {}}')
    world.run("sign-in", "prod", cwd=project(prod=PROD))
    assert settings.read_text() == '{"auths": {}}'
