"""Lists, builds, joins and pins the published images of a stack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.images.image_sources import image_names
from tests.unit.workflows.conftest import SCRIPTS, ProjectMaker, World

PROD = """
config:
  llm-stack:services: all
  llm-stack:registry:
    server: registry.example.com
    repository: team/llm-stack
    platforms: [linux/amd64, linux/arm64]
"""
DIGEST = "sha256:" + "a" * 64
JOINED = "sha256:" + "b" * 64
MANIFEST = '{"manifests": ["a"]}'
# The variables of a step in GitHub's runner.
GITHUB = {"GITHUB_REPOSITORY": "team/llm-stack", "GH_TOKEN": "not-a-token"}


@pytest.mark.usefixtures("jq")
def test_every_image_is_built_natively_for_every_platform(
    world: World, project: ProjectMaker
) -> None:
    listed = world.run("images/list-images", cwd=project(prod=PROD), STACKS='["prod"]').stdout
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
    assert (chat["context"], chat["dockerfile"]) == ("app", "docker/chat.Dockerfile")
    assert (outputs["stacks"], outputs["any"]) == ("prod", "true")


@pytest.mark.usefixtures("jq")
def test_stacks_with_one_registry_share_its_images(world: World, project: ProjectMaker) -> None:
    root = project(prod=PROD, staging=PROD)
    listed = world.run("images/list-images", cwd=root, STACKS='["prod", "staging"]').stdout
    outputs = dict(line.split("=", 1) for line in listed.splitlines())
    assert len(json.loads(outputs["matrix"])["include"]) == 2 * len(image_names())


@pytest.mark.usefixtures("jq")
def test_stack_without_a_registry_publishes_nothing(world: World, project: ProjectMaker) -> None:
    root = project(prod="config:\n  llm-stack:services: all\n")
    assert "any=false" in world.run("images/list-images", cwd=root, STACKS='["prod"]').stdout


@pytest.mark.usefixtures("jq")
def test_missing_stack_file_is_an_error(world: World, project: ProjectMaker) -> None:
    refused = world.run("images/list-images", cwd=project(), STACKS='["prd"]', check=False)
    assert refused.returncode != 0
    assert "Pulumi.prd.yaml: does not exist; found 'prd'" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.usefixtures("jq")
def test_invalid_registry_is_an_error(world: World, project: ProjectMaker) -> None:
    root = project(prod=PROD.replace("registry.example.com", "https://registry.example.com"))
    refused = world.run("images/list-images", cwd=root, STACKS='["prod"]', check=False)
    assert "Pulumi.prod.yaml:5: llm-stack:registry.server: " in refused.stderr


BUILD = {
    **GITHUB,
    "REFERENCE": "registry.example.com/team/chat:0123-arm64",
    "CACHE": "registry.example.com/team/chat:cache-arm64",
    "PLATFORM": "linux/arm64",
    "CONTEXT": "app/chat",
    "DOCKERFILE": "docker/chat.Dockerfile",
    "BUILD_ARGUMENTS": "BASE_IMAGE=python:3.11-slim\nOTHER=with a space",
}


@pytest.mark.usefixtures("jq")
def test_image_is_pushed_with_sbom_and_provenance(world: World, metadata: str) -> None:
    world.fake("docker")
    world.answer("imagetools", code=1)
    world.answer("inspect", code=1)
    world.answer("build", writes={"--metadata-file": metadata})
    output = world.run("images/build-image", variables=BUILD).stdout
    assert output == f"digest={DIGEST}\n", "the output of the step, which is attested"
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


@pytest.mark.usefixtures("jq")
def test_image_without_build_arguments_is_built(world: World, metadata: str) -> None:
    world.fake("docker")
    world.answer("imagetools", code=1)
    world.answer("build", writes={"--metadata-file": metadata})
    world.run("images/build-image", variables={**BUILD, "BUILD_ARGUMENTS": ""})
    (build,) = world.calls("build")
    assert "--build-arg" not in build
    assert world.calls("create") == [], "the builder of an earlier step is used"


@pytest.fixture
def metadata() -> str:
    """What BuildKit writes about a pushed image."""
    return json.dumps({"containerimage.digest": DIGEST})


def attestation(digest: str, *names: str) -> str:
    """What `gh attestation verify --format json` prints, with these subjects."""
    subjects = [{"name": name, "digest": {"sha256": digest[7:]}} for name in names]
    return json.dumps([{"verificationResult": {"statement": {"subject": subjects}}}])


def references(root: Path) -> list[tuple[str, list[str]]]:
    """The reference of each image of prod, and those of its platforms."""
    script = SCRIPTS / "images" / "published_images.py"
    listed = subprocess.run(
        [sys.executable, script, "references", "prod"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line.split() for line in listed.splitlines()]
    return [(joined, platforms) for _, joined, *platforms in lines]


@pytest.mark.usefixtures("jq")
def test_published_image_is_not_built_again(world: World) -> None:
    world.fake("docker", "gh")
    world.answer("imagetools", stdout=DIGEST)
    world.answer("attestation", stdout=attestation(DIGEST, BUILD["REFERENCE"]))
    output = world.run("images/build-image", variables=BUILD).stdout
    assert world.calls("build") == []
    assert output == "", "nothing to attest"


@pytest.mark.usefixtures("jq")
def test_image_that_main_did_not_attest_is_built_again(world: World, metadata: str) -> None:
    """A branch can push a tag too."""
    world.fake("docker", "gh")
    world.answer("imagetools", stdout=DIGEST)
    world.answer("attestation", code=1)
    world.answer("build", writes={"--metadata-file": metadata})
    world.run("images/build-image", variables=BUILD)
    assert len(world.calls("build", "--push")) == 1


@pytest.mark.usefixtures("jq")
def test_attestation_of_the_digest_is_verified_to_be_mains(world: World) -> None:
    world.fake("docker", "gh")
    world.answer("imagetools", stdout=DIGEST)
    reference = "registry.example.com:5000/team/chat:0123"
    world.answer("attestation", stdout=attestation(DIGEST, reference))
    digest = world.run("images/verified-digest", reference, variables=GITHUB).stdout
    assert digest == f"{DIGEST}\n"
    (verified,) = world.calls("gh")
    assert verified == [
        *("gh", "attestation", "verify", f"oci://registry.example.com:5000/team/chat@{DIGEST}"),
        *("--repo", "team/llm-stack"),
        *("--signer-workflow", "team/llm-stack/.github/workflows/images.yaml"),
        *("--source-ref", "refs/heads/main", "--deny-self-hosted-runners"),
        *("--format", "json"),
    ]


@pytest.mark.usefixtures("jq")
@pytest.mark.parametrize("name", ["r.example.com/chat:older", "r.example.com/monitor:0123"])
def test_another_attested_image_of_main_is_not_verified(world: World, name: str) -> None:
    """A branch can give the tag to an older image, or to that of another service."""
    world.fake("docker", "gh")
    world.answer("imagetools", stdout=DIGEST)
    world.answer("attestation", stdout=attestation(DIGEST, name))
    refused = world.run(
        "images/verified-digest", "r.example.com/chat:0123", variables=GITHUB, check=False
    )
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "the images workflow of main did not attest" in refused.stderr


def test_repository_without_attestations_switches_them_off(world: World) -> None:
    world.fake("docker", "gh")
    world.answer("imagetools", stdout=DIGEST)
    variables = {**GITHUB, "ATTESTED_IMAGES": "off"}
    assert world.run("images/verified-digest", "r.example.com/a:1", variables=variables).stdout
    assert world.calls("gh") == []


@pytest.mark.usefixtures("jq")
def test_multi_platform_manifest_is_created_for_each_image(
    world: World, project: ProjectMaker
) -> None:
    world.fake("docker", "gh")
    root = project(prod=PROD)
    only_platforms(world, root)
    joined = world.run("images/join-platforms", "prod", cwd=root, variables=GITHUB)
    created = world.calls("create", "--tag")
    assert len(created) == len(image_names()), "a call does not read the lines of the other images"
    for call in created:
        assert call[:5] == ["docker", "buildx", "imagetools", "create", "--tag"]
        repository = call[5].rpartition(":")[0]
        assert call[6:] == [f"{repository}@{DIGEST}"] * 2, "what was verified, not a tag"
    subjects = [line.split("  ") for line in joined.stdout.splitlines()]
    assert sorted(subjects) == [["b" * 64, reference] for reference, _ in references(root)]


@pytest.mark.usefixtures("jq")
def test_platform_that_main_did_not_attest_is_not_joined(
    world: World, project: ProjectMaker
) -> None:
    world.fake("docker", "gh")
    world.answer("attestation", code=1)
    world.answer("--format", stdout=DIGEST)
    refused = world.run(
        "images/join-platforms", "prod", cwd=project(prod=PROD), variables=GITHUB, check=False
    )
    assert refused.returncode != 0
    assert "the images workflow of main did not attest" in refused.stderr
    assert world.calls("create") == []


@pytest.mark.usefixtures("jq")
def test_image_that_another_push_replaced_is_not_attested(
    world: World, project: ProjectMaker
) -> None:
    world.fake("docker", "gh")
    root = project(prod=PROD)
    world.answer("--raw", stdout='{"manifests": ["another"]}')
    only_platforms(world, root)
    refused = world.run("images/join-platforms", "prod", cwd=root, variables=GITHUB, check=False)
    assert refused.returncode == 1
    assert "another image was pushed to registry.example.com/team/llm-stack/" in refused.stderr
    assert refused.stdout == ""


def only_platforms(world: World, root: Path) -> None:
    """The platforms of each image are attested; what joins them is not."""
    found = references(root)
    for joined, _ in found:
        world.answer("inspect", joined, stdout=JOINED)
        world.answer("attestation", f"oci://{joined.rpartition(':')[0]}@{JOINED}", code=1)
    platforms = [platform for _, platforms in found for platform in platforms]
    world.answer("attestation", stdout=attestation(DIGEST, *platforms))
    world.answer("--dry-run", stdout=MANIFEST)
    world.answer("--raw", stdout=MANIFEST)
    world.answer("inspect", stdout=DIGEST)


@pytest.mark.usefixtures("jq")
def test_published_images_are_pinned_by_digest(world: World, project: ProjectMaker) -> None:
    world.fake("docker", "pulumi", "gh")
    root = project(prod=PROD)
    world.answer("imagetools", stdout=DIGEST)
    joined = [reference for reference, _ in references(root)]
    world.answer("attestation", stdout=attestation(DIGEST, *joined))
    world.run("images/pin-images", "prod", "--all", cwd=root, variables=GITHUB)
    assert world.calls("pulumi") == [
        [
            *("pulumi", "config", "set", "--stack", "prod"),
            *("--path", f"llm-stack:imageDigests.{image}", DIGEST),
        ]
        for image in image_names()
    ]


def test_preview_continues_without_unpublished_images(world: World, project: ProjectMaker) -> None:
    world.fake("docker", "pulumi")
    world.answer("imagetools", code=1)
    output = world.run("images/pin-images", "prod", cwd=project(prod=PROD)).stdout
    assert output.count("is not published") == len(image_names())
    assert world.calls("pulumi") == []


def test_deployment_stops_without_unpublished_images(world: World, project: ProjectMaker) -> None:
    world.fake("docker", "pulumi")
    world.answer("imagetools", code=1)
    refused = world.run("images/pin-images", "prod", "--all", cwd=project(prod=PROD), check=False)
    assert refused.returncode == 1
    assert f"did not publish {' '.join(image_names())} for this commit" in refused.stderr


def test_image_that_main_did_not_attest_is_not_deployed(
    world: World, project: ProjectMaker
) -> None:
    world.fake("docker", "pulumi", "gh")
    world.answer("imagetools", stdout=DIGEST)
    world.answer("attestation", code=1)
    refused = world.run(
        "images/pin-images",
        *("prod", "--all"),
        cwd=project(prod=PROD),
        variables=GITHUB,
        check=False,
    )
    assert refused.returncode == 1
    assert "the images workflow of main did not attest" in refused.stderr
    assert world.calls("pulumi") == []


def test_password_is_passed_on_standard_input_only(world: World, project: ProjectMaker) -> None:
    world.fake("docker")
    login = {"REGISTRY_USERNAME": "robot", "REGISTRY_PASSWORD": "not-a-password"}
    world.run("images/sign-in", "prod", cwd=project(prod=PROD), variables=login)
    assert world.calls() == [
        [
            *("docker", "login", "registry.example.com"),
            *("--username", "robot", "--password-stdin"),
        ]
    ]
    assert world.stdin("login") == ["not-a-password"]


def test_registry_is_used_anonymously_without_a_password(
    world: World, project: ProjectMaker
) -> None:
    world.fake("docker")
    world.run("images/sign-in", "prod", cwd=project(prod=PROD))
    assert world.calls() == []
    settings = world.home / ".docker" / "config.json"
    assert settings.read_text() == "{}\n", "the Docker provider needs this file"


def test_existing_login_is_kept(world: World, project: ProjectMaker) -> None:
    settings = world.home / ".docker" / "config.json"
    settings.parent.mkdir()
    settings.write_text('{"auths": {}}')
    world.run("images/sign-in", "prod", cwd=project(prod=PROD))
    assert settings.read_text() == '{"auths": {}}'
