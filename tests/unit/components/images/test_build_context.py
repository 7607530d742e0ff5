"""The digest of a build context: files not in `.dockerignore`, and their executable bit."""

from __future__ import annotations

import re
from pathlib import Path

import pulumi
import pytest

from components.images.build_context import context_digest, context_files, ignore_rules, is_sent

DOCKERFILES = Path(__file__).parents[4] / "docker"


@pytest.mark.parametrize(
    ("rules", "ignored", "sent"),
    [
        ("*.log", "a.log", "pkg/a.log"),
        ("**/*.log", "pkg/deep/a.log", "a.logs"),
        ("cache/", "cache/blob", "pkg/cache"),
        ("/only", "only", "pkg/only"),
        ("./pkg/../with?space", "with space", "with/space"),
        ("a[0-2].py", "a1.py", "a3.py"),
        ("a[^0-2].py", "a3.py", "a1.py"),
        (r"a\*", "a*", "ab"),
        ("a.py", "a.py", "a_py"),
        ("pkg/**", "pkg/deep/x", "pkg2"),
        ("a/**/b", "a/b", "ab"),
        ("src/**.py", "src/deep/.py", "src/a.py"),
        ("a**b", "a/x/b", "axb"),
        ("*\n!keep", "other", "keep/deep"),
        ("*\n!*.py", "pkg/a.py", "a.py"),
        ("*\n!!keep", "keep", "!keep"),
        ("!a.log\n*.log", "a.log", "a.py"),
        ("*.md\n!*.md\nREADME.md", "README.md", "a.md"),
        ("../build", "", "build"),
        ("#a\n #b", "#b", "#a"),
        ("\ufeffa\r\nb\r\n", "a", "c"),
    ],
)
def test_the_last_matching_rule_applies(rules: str, ignored: str, sent: str) -> None:
    found = ignore_rules(rules)
    assert not (ignored and is_sent(ignored, found))
    assert is_sent(sent, found)


@pytest.mark.parametrize(
    ("rules", "sent"),
    [
        ("*\n!pkg/deep/x.py", {"pkg/deep/x.py"}),
        ("*\n!**/x.py", {"pkg/deep/x.py"}),
        ("*\n!pkg/*\npkg/*.py", {"pkg/deep", "pkg/deep/x.py"}),
        ("**\n!a.py", {"a.py"}),
        ("pkg", {"a.py", "link", ".dockerignore"}),
    ],
)
def test_files_in_an_ignored_directory_can_be_included(
    tmp_path: Path, rules: str, sent: set[str]
) -> None:
    (tmp_path / "pkg/deep").mkdir(parents=True)
    for name in ("a.py", "pkg/b.py", "pkg/deep/x.py"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("pkg")
    (tmp_path / ".dockerignore").write_text(rules, encoding="utf-8")
    assert {path.as_posix() for path in context_files(tmp_path)} == sent


def test_an_invalid_pattern_is_reported_with_its_file(tmp_path: Path) -> None:
    ignore = tmp_path / ".dockerignore"
    ignore.write_text("a[", encoding="utf-8")
    with pytest.raises(pulumi.RunError, match=str(ignore)):
        context_files(tmp_path)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A context as checked out by git with umask 022."""
    context = tmp_path / "context"
    (context / "pkg").mkdir(parents=True)
    (context / "main.py").write_text("pass", encoding="utf-8")
    (context / "pkg/tool").write_text("#!/bin/sh", encoding="utf-8")
    for path, mode in (("main.py", 0o644), ("pkg/tool", 0o755), ("pkg", 0o755)):
        (context / path).chmod(mode)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    return context


def digest(context: Path) -> str:
    return context_digest(context, context.parent / "Dockerfile", {})


@pytest.mark.parametrize("umask", [0o002, 0o027, 0o077])
def test_the_umask_of_the_checkout_does_not_change_the_digest(checkout: Path, umask: int) -> None:
    before = digest(checkout)
    for path in checkout.rglob("*"):
        executable = path.is_dir() or path.name == "tool"
        path.chmod((0o777 if executable else 0o666) & ~umask)
    assert digest(checkout) == before


@pytest.mark.parametrize(("path", "mode"), [("main.py", 0o755), ("pkg/tool", 0o644)])
def test_the_executable_bit_changes_the_digest(checkout: Path, path: str, mode: int) -> None:
    before = digest(checkout)
    (checkout / path).chmod(mode)
    assert digest(checkout) != before


@pytest.mark.parametrize(
    "dockerfile", sorted(DOCKERFILES.glob("*.Dockerfile")), ids=lambda path: path.stem
)
def test_copied_files_do_not_keep_the_modes_of_the_checkout(
    dockerfile: Path,
) -> None:
    """Single files, such as requirements, are read by root in a build stage."""
    copies = re.findall(r"^COPY (?!--from)(.*)$", dockerfile.read_text(encoding="utf-8"), re.M)
    shipped = [copy for copy in copies if re.search(r"\*|(^| )(\.|\S+/) ", copy)]
    assert [copy for copy in shipped if not copy.startswith("--chmod=755 ")] == []
