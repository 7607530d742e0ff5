"""Which lines of a build a person sees, and that none is lost or shown twice."""

from __future__ import annotations

from pathlib import Path

from toolchain.stack.build_logs import BuildLogTail, BuildLogThinner, LogFile


def shown(lines: list[tuple[float, str]]) -> list[str]:
    thinner = BuildLogThinner("inference")
    return [text for now, line in lines for text in thinner.choose(line, now)]


def test_build_steps_are_shown_and_neither_cached_ones_nor_buildkits_own_work() -> None:
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


def test_a_step_that_says_nothing_for_long_is_shown_all_the_same() -> None:
    thinner = BuildLogThinner("inference")
    assert thinner.choose("#6 [builder 3/7] RUN npm ci", 0) == []
    assert thinner.overdue(1) == []
    assert thinner.overdue(2) == ["[inference] #6 [builder 3/7] RUN npm ci"]
    assert thinner.overdue(4) == []


def test_a_step_that_buildkit_turns_back_to_is_announced_once() -> None:
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


def test_output_is_thinned_to_a_line_in_two_seconds() -> None:
    lines = [(second / 2, f"#5 {second / 2:.1f} [{second}/150] Building") for second in range(12)]
    assert shown(lines) == [
        "[inference] [0/150] Building",
        "[inference] [4/150] Building",
        "[inference] [8/150] Building",
    ]


def test_an_error_is_shown_whole_whatever_came_just_before() -> None:
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


def test_a_line_that_is_still_being_written_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "chat.log"
    path.write_text("one\ntw")
    log = LogFile(path, from_end=False)
    assert log.new_lines() == ["one"]
    with path.open("a") as file:
        file.write("o\n")
    assert log.new_lines() == ["two"]
    assert log.new_lines() == []


def test_a_log_begun_anew_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "chat.log"
    path.write_text("an earlier build\n")
    log = LogFile(path, from_end=True)
    path.write_text("anew\n")
    assert log.new_lines() == ["anew"]


def test_only_what_is_written_meanwhile_is_shown(tmp_path: Path) -> None:
    (tmp_path / "chat.log").write_text("#1 [1/2] FROM an earlier build\n")
    said: list[str] = []
    with BuildLogTail(tmp_path, said.append):
        with (tmp_path / "chat.log").open("a") as file:
            file.write("#2 [2/2] COPY . .\n#2 DONE 0.1s\n")
        (tmp_path / "monitor.log").write_text("#1 [1/1] RUN true\n#1 DONE 0.1s\n")
    assert sorted(said) == ["[chat] #2 [2/2] COPY . .", "[monitor] #1 [1/1] RUN true"]
