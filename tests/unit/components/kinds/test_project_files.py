"""Files of the project in a container: what can be mounted, and what a change of one changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.kinds.project_files import MOST_BYTES, MOST_FILES
from tests.doubles.recording_engine import Graph, Registration
from tests.unit.components.conftest import Project

DIGEST = "sha256:" + "0a" * 32
FOLDERS = "/var/lib/docker/volumes/app-files-volume/_data"


def catalogue(*volumes: str) -> str:
    return (
        f"services: {{app: {{kind: container, image: 'redis:7@{DIGEST}', volumes: "
        f"{list(volumes)}}}}}"
    )


def mounted(graph: Graph) -> dict[str, tuple[str, str]]:
    """By path in the container: the content of the file, and its permissions."""
    uploads = graph.of("Container")["app-files-carrier"].inputs["uploads"]
    by_name = {Path(one["file"]).name: (one["content"], one["permissions"]) for one in uploads}
    return {
        one["containerPath"]: by_name[Path(one["hostPath"]).name]
        for one in graph.running["app"].inputs["volumes"]
        if str(one.get("hostPath")).startswith(FOLDERS)
    }


def test_each_file_of_a_folder_is_mounted_by_itself(project: Project) -> None:
    project.write("conf/app.yml", "a: 1\n")
    project.write("conf/sites/one.conf", "server {}\n")
    project.write("start.sh", "#!/bin/sh\n", mode=0o755)
    graph = project.run(catalogue("./conf:/etc/app", "./start.sh:/start.sh:ro"))
    assert mounted(graph) == {
        "/etc/app/app.yml": ("a: 1\n", "0444"),
        "/etc/app/sites/one.conf": ("server {}\n", "0444"),
        "/start.sh": ("#!/bin/sh\n", "0555"),
    }
    assert all(
        one["readOnly"]
        for one in graph.running["app"].inputs["volumes"]
        if str(one.get("hostPath")).startswith(FOLDERS)
    )


def test_files_of_one_name_are_kept_apart(project: Project) -> None:
    project.write("aa/app.yml", "aa\n")
    project.write("bb/app.yml", "bb\n")
    graph = project.run(catalogue("./aa/app.yml:/aa.yml", "./bb/app.yml:/bb/app.yml", "./bb:/cc"))
    assert {path: content for path, (content, _) in mounted(graph).items()} == {
        "/aa.yml": "aa\n",
        "/bb/app.yml": "bb\n",
        "/cc/app.yml": "bb\n",
    }


def test_the_folder_where_the_files_are_is_not_mounted(project: Project) -> None:
    project.write("conf/app.yml", "a: 1\n")
    graph = project.run(catalogue("./conf/app.yml:/etc/app.yml"))
    paths = [one["containerPath"] for one in graph.running["app"].inputs["volumes"]]
    assert paths == ["/etc/app.yml"], "what the image has beside it stays"


def test_a_changed_content_changes_the_files_and_nothing_else(project: Project) -> None:
    def run(content: str, mode: int = 0o644) -> dict[tuple[str, str], Registration]:
        project.write("conf/app.yml", content, mode=mode)
        return {(one.type, one.name): one for one in project.run(text).resources}

    text = catalogue("./conf:/etc/app")
    before, again, after = run("a: 1\n"), run("a: 1\n"), run("a: 2\n")
    volatile = {"restarter-token-value", "monitor-secrets-carrier", "restarter-secrets-carrier"}
    unchanged = {name for name in before if before[name].inputs == again[name].inputs}
    assert {name for _, name in before.keys() - unchanged} <= volatile
    changed = {name[1] for name in unchanged if before[name].inputs != after[name].inputs}
    assert changed == {"app-files-contents", "app-files-carrier"}
    contents = after["pulumi:index:Stash", "app-files-contents"]
    assert contents.replaced_on == ("input",), "its id follows every content"
    volume = after["docker:index/volume:Volume", "app-files-volume"]
    assert {"label": "llm-stack.contents", "value": "app-files-contents-id"} in volume.inputs[
        "labels"
    ], "another id is another volume"
    container = after["docker:index/container:Container", "app"]
    assert {"label": "llm-stack.files", "value": "app-files-contents-id"} in container.inputs[
        "labels"
    ], "and another container"


def refusal(project: Project, volume: str) -> str:
    (problem,) = project.refusal(catalogue(volume))
    start = "services.yaml:1: services.app.volumes: "
    assert problem.startswith(start)
    return problem.removeprefix(start)


LIMIT = f"allowed: up to {MOST_FILES} text files of {MOST_BYTES // 1000} KB each"


def test_a_path_that_does_not_exist_is_refused(project: Project) -> None:
    assert refusal(project, "./conf:/conf") == (
        "does not exist; found './conf'; allowed: a file or a folder of the project"
    )


def test_an_empty_folder_is_refused(project: Project) -> None:
    (project.folder / "conf/empty").mkdir(parents=True)
    assert refusal(project, "./conf:/conf") == f"has no file in it; found './conf'; {LIMIT}"


def test_too_many_files_are_refused(project: Project) -> None:
    for number in range(MOST_FILES + 1):
        project.write(f"conf/{number}", "a")
    assert refusal(project, "./conf:/conf") == (
        f"has {MOST_FILES + 1} files in it; found './conf'; {LIMIT}; a named volume or an image "
        "for more"
    )
    (project.folder / "conf/0").unlink()
    assert len(mounted(project.run(catalogue("./conf:/conf")))) == MOST_FILES


def test_a_file_that_is_too_large_is_refused(project: Project) -> None:
    project.write("conf/large", "a" * (MOST_BYTES + 1))
    assert refusal(project, "./conf:/conf") == (
        f"has a larger file in it, conf/large; found './conf'; {LIMIT}; a named volume for larger "
        "ones"
    )
    project.write("conf/large", "a" * MOST_BYTES)
    assert "/conf/large" in mounted(project.run(catalogue("./conf:/conf")))


def test_an_empty_file_is_refused(project: Project) -> None:
    project.write("conf/.gitkeep", "")
    assert refusal(project, "./conf:/conf") == (
        f"has an empty file in it, conf/.gitkeep; found './conf'; {LIMIT}; one with a comment in it"
    )


def test_a_file_without_text_is_refused(project: Project) -> None:
    project.write("conf/logo.png", b"\x89PNG\r\n\x1a\n\xff")
    assert refusal(project, "./conf/logo.png:/logo.png") == (
        "has a file without text in it, conf/logo.png; found './conf/logo.png'; "
        f"{LIMIT}; an image for other content"
    )


@pytest.mark.parametrize("entry", ["./link:/x", "./link/one:/x"])
def test_a_link_out_of_the_project_is_refused(project: Project, tmp_path: Path, entry: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/one").write_text("secret", encoding="utf-8")
    (project.folder / "link").symlink_to(tmp_path / "outside")
    found = entry.partition(":")[0]
    assert refusal(project, entry) == (
        f"leads out of the project; found '{found}'; allowed: a file or a folder of the project"
    )


def test_a_link_out_of_the_project_in_a_folder_is_refused(project: Project, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret", encoding="utf-8")
    project.write("conf/app.yml", "a: 1\n")
    (project.folder / "conf/link").symlink_to(tmp_path / "outside")
    assert refusal(project, "./conf:/conf") == (
        f"has a file that leads out of the project, conf/link; found './conf'; {LIMIT}"
    )


def test_a_link_inside_the_project_is_followed(project: Project) -> None:
    project.write("shared/app.yml", "a: 1\n")
    (project.folder / "conf").mkdir()
    (project.folder / "conf/app.yml").symlink_to("../shared/app.yml")
    assert mounted(project.run(catalogue("./conf:/conf"))) == {"/conf/app.yml": ("a: 1\n", "0444")}


def test_two_files_at_one_path_are_refused(project: Project) -> None:
    project.write("aa/app.yml", "aa\n")
    project.write("bb/app.yml", "bb\n")
    (problem,) = project.refusal(catalogue("./aa:/conf", "./bb/app.yml:/conf/app.yml"))
    assert problem == (
        "services.yaml:1: services.app.volumes.1: something else is mounted at this path; found "
        "'/conf/app.yml'; allowed: another path in the container"
    )
    assert mounted(project.run(catalogue("./aa:/conf", "./bb/app.yml:/conf/b.yml")))
