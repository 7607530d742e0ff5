"""The limits that are written into the source of llama.cpp."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.inference.build.engine.parser_limits import EDITS, Edit, edited, main


def _write_source(folder: Path) -> None:
    for edit in EDITS:
        path = folder / edit.file
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(text + edit.after, encoding="utf-8")


def test_every_limit_follows_its_line(tmp_path: Path) -> None:
    _write_source(tmp_path)
    main(tmp_path)
    for edit in EDITS:
        assert edit.after + edit.text in (tmp_path / edit.file).read_text(encoding="utf-8")


@pytest.mark.parametrize("source", ["int main() {}\n", "here\nhere\n"])
def test_a_changed_source_is_an_error(source: str) -> None:
    with pytest.raises(ValueError, match=r"grammar\.cpp does not contain"):
        edited(source, Edit("grammar.cpp", "here\n", "limit\n"))


def test_the_build_stops_at_a_changed_source(tmp_path: Path) -> None:
    _write_source(tmp_path)
    (tmp_path / EDITS[0].file).write_text("int main() {}\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="Adapt EDITS"):
        main(tmp_path)
