"""Which files of a build context a `.dockerignore` leaves out, by the rules of Docker's matcher."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pytest

from components.build_context import context_files, ignore_rules, is_sent


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
def test_the_last_rule_that_names_a_path_decides(rules: str, ignored: str, sent: str) -> None:
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
def test_what_lies_in_an_ignored_directory_may_be_sent(
    tmp_path: Path, rules: str, sent: set[str]
) -> None:
    (tmp_path / "pkg/deep").mkdir(parents=True)
    for name in ("a.py", "pkg/b.py", "pkg/deep/x.py"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("pkg")
    (tmp_path / ".dockerignore").write_text(rules, encoding="utf-8")
    assert {path.as_posix() for path in context_files(tmp_path)} == sent


def test_a_rule_that_is_no_pattern_is_told_with_its_file(tmp_path: Path) -> None:
    ignore = tmp_path / ".dockerignore"
    ignore.write_text("a[", encoding="utf-8")
    with pytest.raises(pulumi.RunError, match=str(ignore)):
        context_files(tmp_path)
