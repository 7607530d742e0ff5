"""Models of the catalogue: what fits together, and the line of each problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.kinds.catalogue import load_catalogue

DIGEST = "ab" * 32
HUB = """
models:
  m:
    description: A model
    context: 2048
    slots: 2
    repository: someone/m-gguf
    revision: main
"""
ONE_FILE = f"""    file: m.gguf
    sha256: {DIGEST}
    sha256_origin: published
"""
LOCAL = """
models:
  m:
    description: A model
    context: 2048
    slots: 2
    path: /models/m.gguf
"""


def part(number: int, count: int = 3, stem: str = "m") -> str:
    return f"      - {{file: {stem}-{number:05}-of-{count:05}.gguf, sha256: {DIGEST}}}\n"


def split(*parts: str) -> str:
    return HUB + "    sha256_origin: published\n    files:\n" + "".join(parts)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(text: str) -> list[str]:
    Path("services.yaml").write_text(text, encoding="utf-8")
    found = load_catalogue(Path("services.yaml")).problems
    # There are no services, which is another problem of this catalogue.
    return [str(one) for one in found if "models" in str(one)]


@pytest.mark.parametrize(
    "text",
    [
        HUB + ONE_FILE + "    task: embedding\n    pooling: mean\n",
        HUB + ONE_FILE + "    task: rerank\n",
        HUB + ONE_FILE + "    reasoning: off\n    flash_attention: on\n    cache_type: q8_0\n",
        HUB + ONE_FILE + "    reasoning: {budget: 0}\n    idle_sleep: 300\n",
        HUB + ONE_FILE + f"    projector: {{file: p.gguf, sha256: {DIGEST}, size: 5}}\n",
        HUB + ONE_FILE + "    draft: {path: /models/d.gguf}\n",
        HUB + ONE_FILE + "    draft: {file: d.gguf, sha256_origin: unknown}\n",
        LOCAL + "    adapters: [{path: /models/a.gguf, scale: 0.5}]\n",
        LOCAL
        + "    projector: "
        + f"{{repository: a/b, revision: main, file: p.gguf, sha256: {DIGEST}}}\n",
        split(part(3), part(1), part(2)),
        HUB + "    sha256_origin: unknown\n    files: [{file: m-00001-of-00002.gguf},"
        " {file: m-00002-of-00002.gguf}]\n",
    ],
)
def test_keys_that_fit_together(text: str) -> None:
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            HUB + ONE_FILE.replace("m.gguf", "m-00001-of-00003.gguf"),
            "services.yaml:9: models.m.file: is one part of a split GGUF with 3 parts; found "
            "'m-00001-of-00003.gguf'; allowed: files, a list with file, sha256 and size of every "
            "part: m-00001-of-00003.gguf, m-00002-of-00003.gguf, m-00003-of-00003.gguf",
        ),
        (
            HUB + ONE_FILE.replace("m.gguf", "m.safetensors"),
            "services.yaml:9: models.m.file: is not a GGUF file of a repository; found "
            "'m.safetensors'; allowed: a path that ends in .gguf, without ..",
        ),
        (
            split(part(1), part(3)),
            "services.yaml:10: models.m.files: lacks 1 of 3 parts: m-00002-of-00003.gguf; "
            "allowed: every part",
        ),
        (
            split(part(1), part(2), part(2, stem="n"), part(3)),
            "services.yaml:13: models.m.files.2.file: is a part of another split GGUF than the "
            "first one; found 'n-00002-of-00003.gguf'; allowed: m-00001-of-00003.gguf to "
            "m-00003-of-00003.gguf",
        ),
        (
            split(part(1), part(2), part(2), part(3)),
            "services.yaml:13: models.m.files.2.file: is listed twice; found "
            "'m-00002-of-00003.gguf'",
        ),
        (
            HUB + "    sha256_origin: published\n    files: [{file: m.gguf, sha256: "
            f"{DIGEST}}}]\n",
            "services.yaml:10: models.m.files.0.file: is not a part of a split GGUF; found "
            "'m.gguf'; allowed: names that end in -00001-of-0000N.gguf, or file: for one file",
        ),
        (
            split(part(1, 2), "      - {file: m-00002-of-00002.gguf}\n"),
            "services.yaml:12: models.m.files.1.sha256: is missing; allowed: sha256_origin: "
            "unknown where there is no digest",
        ),
        (
            LOCAL.replace("m.gguf", "m-00002-of-00003.gguf"),
            "services.yaml:7: models.m.path: is not the first part of a split GGUF; found "
            "'/models/m-00002-of-00003.gguf'; allowed: /models/m-00001-of-00003.gguf",
        ),
        (
            LOCAL + "    task: embedding\n    projector: {path: /models/p.gguf}\n",
            "services.yaml:9: models.m.projector: has no effect with task: embedding; allowed: "
            "task: chat, or no projector",
        ),
        (
            LOCAL + "    pooling: mean\n",
            "services.yaml:8: models.m.pooling: is for embedding and rerank only; found 'mean'; "
            "allowed: no pooling, or task: embedding",
        ),
        (
            LOCAL + "    task: embedding\n    pooling: rank\n",
            "services.yaml:9: models.m.pooling: does not fit task: embedding; found 'rank'; "
            "allowed: none, mean, cls, last; rank with task: rerank",
        ),
        (
            LOCAL + "    task: rerank\n    pooling: mean\n",
            "services.yaml:9: models.m.pooling: does not fit task: rerank; found 'mean'; "
            "allowed: rank",
        ),
        (
            LOCAL + "    cache_type: q4_0\n    flash_attention: off\n",
            "services.yaml:8: models.m.cache_type: needs flash attention, which is off; found "
            "'q4_0'; allowed: f16, bf16, f32, or flash_attention: auto",
        ),
        (
            LOCAL + "    draft: {file: d.gguf, sha256_origin: unknown}\n",
            "services.yaml:8: models.m.draft: has no repository; allowed: repository and "
            "revision, or path",
        ),
        (
            HUB + ONE_FILE + "    projector: {file: p.gguf}\n",
            "services.yaml:12: models.m.projector: has no check of its content; allowed: sha256, "
            "or sha256_origin: unknown where there is no digest, not both",
        ),
        (
            HUB + ONE_FILE + "    adapters: [{path: /a.gguf}, {scale: 2}]\n",
            "services.yaml:12: models.m.adapters.1: does not have one source; allowed: file of a "
            "repository, or path alone",
        ),
        (
            LOCAL + "    adapters: [{path: '/models/a:b.gguf'}]\n",
            "services.yaml:8: models.m.adapters.0.path: has a character that separates adapters "
            "in llama-server's option; found '/models/a:b.gguf'; allowed: a name without , and :",
        ),
        (
            LOCAL + "    draft: {path: d.gguf}\n",
            "services.yaml:8: models.m.draft.path: is not a path in the container; found "
            "'d.gguf'; allowed: a path that begins with /",
        ),
        (
            LOCAL + "    reasoning: sometimes\n",
            "services.yaml:8: models.m.reasoning: is not a valid value; found 'sometimes'; "
            "allowed: auto, off, on",
        ),
        (
            LOCAL + "    idle_sleep: 0\n",
            "services.yaml:8: models.m.idle_sleep: is too small; found 0; allowed: at least 1",
        ),
        (
            LOCAL + "    chat_template: ./none.jinja\n",
            "services.yaml:8: models.m.chat_template: does not exist; found './none.jinja'; "
            "allowed: ./ and the path of a text file of the project, such as "
            "./catalog/templates/x.jinja",
        ),
        (
            LOCAL + "    chat_template: ../none.jinja\n",
            "services.yaml:8: models.m.chat_template: is not a path of the project; found "
            "'../none.jinja'; allowed: ./ and the path of a text file of the project, such as "
            "./catalog/templates/x.jinja",
        ),
        (
            HUB + ONE_FILE + "    files: []\n    path: /m.gguf\n",
            "services.yaml:3: models.m: does not have one source; allowed: repository, file (or "
            "files) and revision together, path alone, or bundled alone",
        ),
    ],
)
def test_keys_that_do_not_fit_are_refused_with_their_line(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_all_problems_of_a_model_are_reported_at_once() -> None:
    keys = "    task: rerank\n    pooling: mean\n    draft: {path: /d.gguf}\n    slots: 0\n"
    found = problems(LOCAL.replace("    slots: 2\n", "") + keys)
    assert [line.split(": ")[1] for line in found] == [
        "models.m.slots",
        "models.m.draft",
        "models.m.pooling",
    ]


def test_an_option_is_refused_with_its_line() -> None:
    [line] = problems(LOCAL + "    options:\n      --no-warmup: true\n      not-an-option: 1\n")
    assert line.startswith("services.yaml:10: models.m.options.not-an-option: ")


def test_a_chat_template_outside_of_the_project_is_refused(project: Path) -> None:
    outside = project.parent / "outside.jinja"
    outside.write_text("x", encoding="utf-8")
    (project / "link.jinja").symlink_to(outside)
    [line] = problems(LOCAL + "    chat_template: ./link.jinja\n")
    assert "leads out of the project" in line
