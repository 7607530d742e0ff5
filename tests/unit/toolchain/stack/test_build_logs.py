"""The lines of a build log that are shown; none is lost or shown twice."""

from __future__ import annotations

from pathlib import Path

from toolchain.stack.build_logs import BuildLogFilter, BuildLogTail, LogFile


def shown(lines: list[tuple[float, str]]) -> list[str]:
    log_filter = BuildLogFilter("inference")
    return [text for now, line in lines for text in log_filter.choose(line, now)]


def test_cached_and_internal_steps_are_not_shown() -> None:
    assert shown(
        [
            (0, '#0 building with "default" instance using docker driver'),
            (0, "#1 [internal] load build definition from Dockerfile"),
            (0, "#1 transferring dockerfile: 2.21kB 0.2s done"),
            (0, "#1 DONE 0.1s"),
            (0, ""),
            (0, "#5 [builder 2/7] RUN apt-get update   && apt-get install"),
            (0, "#5 CACHED"),
            (0, "#6 [builder 3/7] RUN cmake   --build build"),
            (0, "#6 DONE 3.0s"),
        ]
    ) == ["[inference] #6 [builder 3/7] RUN cmake --build build"]


def test_long_step_without_output_is_shown() -> None:
    log_filter = BuildLogFilter("inference")
    assert log_filter.choose("#6 [builder 3/7] RUN npm ci", 0) == []
    assert log_filter.overdue(1) == []
    assert log_filter.overdue(2) == ["[inference] #6 [builder 3/7] RUN npm ci"]
    assert log_filter.overdue(4) == []


def test_header_of_an_interleaved_step_is_shown_once() -> None:
    assert shown(
        [
            (0, "#6 [builder 2/4] RUN apt-get update"),
            (0, "#6 0.5 Get:1 archive"),
            (0, "#6 ..."),
            (0, ""),
            (0, "#7 [web 2/4] RUN npm ci"),
            (0, "#7 0.5 added"),
            (0, "#7 ..."),
            (0, "#6 [builder 2/4] RUN apt-get update"),
            (9, "#6 9.0 Reading package lists"),
        ]
    ) == [
        "[inference] #6 [builder 2/4] RUN apt-get update",
        "[inference] #7 [web 2/4] RUN npm ci",
        "[inference] Reading package lists",
    ]


def test_output_is_limited_to_a_line_in_two_seconds() -> None:
    lines = [(second / 2, f"#5 {second / 2:.1f} [{second}/150] Building") for second in range(12)]
    assert shown(lines) == [
        "[inference] [0/150] Building",
        "[inference] [4/150] Building",
        "[inference] [8/150] Building",
    ]


def test_error_is_shown_completely() -> None:
    assert shown(
        [
            (0.0, "#5 0.0 [1/150] Building"),
            (0.1, "#5 0.1 ggml.c:12:3: error: expected ';'"),
            (0.1, "#5 0.1 12 | int x"),
            (0.2, "#5 ERROR: process did not complete successfully: exit code: 1"),
            (0.2, "------"),
            (0.2, " > [builder 2/7] RUN cmake:"),
            (0.2, "#5 0.1 12 | int x"),
        ]
    ) == [
        "[inference] [1/150] Building",
        "[inference] #5 0.1 ggml.c:12:3: error: expected ';'",
        "[inference] #5 ERROR: process did not complete successfully: exit code: 1",
        "[inference] ------",
        "[inference]  > [builder 2/7] RUN cmake:",
        "[inference] #5 0.1 12 | int x",
    ]


def test_incomplete_line_is_held_back(tmp_path: Path) -> None:
    path = tmp_path / "chat.log"
    path.write_text("one\ntw")
    log = LogFile(path, from_end=False)
    assert log.new_lines() == ["one"]
    with path.open("a") as file:
        file.write("o\n")
    assert log.new_lines() == ["two"]
    assert log.new_lines() == []


def test_replaced_log_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "chat.log"
    path.write_text("an earlier build\n")
    log = LogFile(path, from_end=True)
    path.write_text("next build\n")
    assert log.new_lines() == ["next build"]


def test_only_new_lines_are_shown(tmp_path: Path) -> None:
    (tmp_path / "chat.log").write_text("#1 [1/2] FROM an earlier build\n")
    shown_lines: list[str] = []
    with BuildLogTail(tmp_path, shown_lines.append):
        with (tmp_path / "chat.log").open("a") as file:
            file.write("#2 [2/2] COPY . .\n#2 DONE 0.1s\n")
        (tmp_path / "monitor.log").write_text("#1 [1/1] RUN true\n#1 DONE 0.1s\n")
    assert sorted(shown_lines) == ["[chat] #2 [2/2] COPY . .", "[monitor] #1 [1/1] RUN true"]
