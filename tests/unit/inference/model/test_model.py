"""Providing the model: downloaded once, resumed, checked, shared; and each error on the way."""

import errno
import shutil
import threading
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.inference.failure import ExitCode, StartupError
from app.inference.model.hub import ATTEMPTS, Hub
from tests.doubles.model_hub import COMMIT, FakeHub
from tests.unit.inference.conftest import (
    MODEL,
    Given,
    LogLines,
    MakeSettings,
    OpenHub,
    model_settings,
)


def no_hub() -> Hub:
    raise AssertionError("unexpected request to the hub")


def failure_of(settings: Given, hub: Callable[[], Hub]) -> StartupError:
    with pytest.raises(StartupError) as failed:
        settings.obtain(hub)
    return failed.value


class TestFetching:
    def test_the_file_is_stored_under_its_repository_and_revision(
        self, make_settings: MakeSettings, open_hub: OpenHub, tmp_path: Path
    ) -> None:
        settings = make_settings()
        place = settings.obtain(open_hub(settings))
        assert place == tmp_path / "models/someone--model-gguf/main/model.gguf"
        assert place.read_bytes() == MODEL
        assert not list(place.parent.glob("*.partial"))

    def test_a_second_start_needs_no_hub_and_does_not_read_the_file_again(
        self, make_settings: MakeSettings, open_hub: OpenHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = make_settings()
        place = settings.obtain(open_hub(settings))
        monkeypatch.setattr(
            "app.inference.model.digest.sha256_of", lambda file: pytest.fail("read again")
        )
        assert settings.obtain(no_hub) == place

    def test_a_file_that_changed_on_the_disk_is_noticed_and_fetched_again(
        self, make_settings: MakeSettings, open_hub: OpenHub, log_lines: LogLines
    ) -> None:
        settings = make_settings()
        place = settings.obtain(open_hub(settings))
        place.write_bytes(MODEL[:-1] + b"!")
        settings.obtain(open_hub(settings))
        assert place.read_bytes() == MODEL
        assert any("has the wrong digest" in line["message"] for line in log_lines())

    def test_a_cut_connection_is_resumed_where_it_broke(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub, pauses: list[float]
    ) -> None:
        hub.cut_after = [3_000_000, 500_000]
        settings = make_settings()
        place = settings.obtain(open_hub(settings))
        assert place.read_bytes() == MODEL
        first, second, third = hub.ranges()
        assert first == "bytes=0-"
        assert second != "bytes=0-"
        assert third != "bytes=0-"
        assert hub.bytes_sent < len(MODEL) + 2 * 1024 * 1024, "no more than a chunk is sent twice"
        assert pauses, "it waits before it tries again"

    def test_the_next_start_resumes_a_partial_download(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub
    ) -> None:
        hub.cut_after = [3_000_000] + [0] * ATTEMPTS
        settings = make_settings()
        assert failure_of(settings, open_hub(settings)).code == ExitCode.HUB_UNREACHABLE
        asked = len(hub.ranges())
        hub.cut_after = []
        assert settings.obtain(open_hub(settings)).read_bytes() == MODEL
        assert hub.ranges()[asked:] != ["bytes=0-"]

    def test_a_hub_that_ignores_ranges_still_gives_a_complete_file(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub
    ) -> None:
        hub.cut_after = [2_000_000]
        hub.ignores_range = True
        settings = make_settings()
        assert settings.obtain(open_hub(settings)).read_bytes() == MODEL

    def test_a_partial_file_of_another_version_is_never_joined_with_this_one(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub
    ) -> None:
        hub.cut_after = [3_000_000] + [0] * ATTEMPTS
        settings = make_settings()
        failure_of(settings, open_hub(settings))
        hub.cut_after = []
        hub.content = MODEL[::-1].replace(b"FUGG", b"....") + b"!"
        hub.content = MODEL[:8] + hub.content
        place = make_settings().obtain(open_hub(settings))
        assert place.read_bytes() == hub.content
        assert not list(place.parent.glob("*.partial"))

    def test_transient_errors_of_the_hub_are_retried(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub, pauses: list[float]
    ) -> None:
        hub.failing_answers = [503, 429, 500]
        settings = make_settings()
        assert settings.obtain(open_hub(settings)).exists()
        assert pauses == [1, 2, 4], "each pause is twice as long as the one before"

    def test_two_containers_on_one_volume_fetch_once(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub
    ) -> None:
        settings = make_settings()
        starts = [
            threading.Thread(target=settings.obtain, args=(open_hub(settings),)) for _ in range(3)
        ]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        assert hub.bytes_sent == len(MODEL)

    def test_the_token_goes_to_the_hub_and_not_to_the_storage_behind_it(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub, tmp_path: Path
    ) -> None:
        hub.gated = hub.terms_accepted = True
        hub.private = True
        hub.allowed_token = "hf_secret"
        (tmp_path / "hf_token").write_text("hf_secret\n")
        settings = make_settings()
        assert settings.obtain(open_hub(settings)).exists()
        assert hub.tokens_at_storage == []

    def test_progress_is_logged(
        self,
        hub: FakeHub,
        make_settings: MakeSettings,
        open_hub: OpenHub,
        log_lines: LogLines,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("app.inference.model.progress.REPORT_SECONDS", 0.0)
        settings = make_settings()
        reported: list[str] = []
        settings.obtain(open_hub(settings), reported.append)
        lines = [line for line in log_lines() if "percent" in line]
        assert lines[-1]["percent"] == 100
        assert lines[-1]["total_bytes"] == len(MODEL)
        assert any("MB/s" in message for message in reported)


class TestUnpinnedModel:
    def test_its_digest_is_logged_as_a_warning(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub, log_lines: LogLines
    ) -> None:
        settings = make_settings(sha256=None)
        assert settings.obtain(open_hub(settings)).exists()
        assert [line["found_sha256"] for line in log_lines() if line["level"] == "warning"] == [
            hub.sha256
        ]

    def test_it_is_still_compared_with_what_the_hub_announces(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub
    ) -> None:
        hub.announced_sha256 = "cd" * 32
        settings = make_settings(sha256=None)
        assert failure_of(settings, open_hub(settings)).code == ExitCode.WRONG_DIGEST


class TestWrongDigest:
    def test_a_pin_that_the_hub_contradicts_fails_before_anything_is_fetched(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub
    ) -> None:
        settings = make_settings(sha256="00" * 32)
        failure = failure_of(settings, open_hub(settings))
        assert failure.code == ExitCode.WRONG_DIGEST
        assert "expected " + "00" * 32 in failure.error
        assert f"found {hub.sha256}" in failure.error
        assert "sha256 in services.yaml" in failure.what_to_do
        assert hub.bytes_sent == 0

    def test_a_wrong_pin_does_not_delete_the_existing_model(
        self, make_settings: MakeSettings, open_hub: OpenHub
    ) -> None:
        good = make_settings()
        place = good.obtain(open_hub(good))
        failure_of(make_settings(sha256="00" * 32), open_hub(good))
        assert place.read_bytes() == MODEL

    def test_a_damaged_download_is_deleted_and_the_error_says_so(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub, tmp_path: Path
    ) -> None:
        settings = make_settings()
        hub.announced_sha256 = hub.sha256
        hub.content = MODEL[:-1] + b"!"
        failure = failure_of(settings, open_hub(settings))
        assert failure.code == ExitCode.WRONG_DIGEST
        assert "(deleted)" in failure.error
        assert not [
            f for f in (tmp_path / "models").rglob("model.gguf*") if f.stat().st_size > 1000
        ]


class TestRefusals:
    def test_a_gated_model_without_a_token(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub, tmp_path: Path
    ) -> None:
        hub.gated = True
        settings = make_settings()
        failure = failure_of(settings, open_hub(settings))
        assert failure.code == ExitCode.ACCESS_DENIED
        assert f"there is no token in {tmp_path / 'hf_token'}" in failure.error
        assert f"accept the model's terms at {hub.endpoint}/{hub.repository}" in failure.what_to_do
        assert "pulumi config set --secret hfToken" in failure.what_to_do

    def test_a_gated_model_whose_terms_were_not_accepted(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub, tmp_path: Path
    ) -> None:
        hub.gated = True
        hub.allowed_token = "hf_secret"
        (tmp_path / "hf_token").write_text("hf_secret")
        settings = make_settings()
        failure = failure_of(settings, open_hub(settings))
        assert failure.code == ExitCode.ACCESS_DENIED
        assert "has no access" in failure.error
        assert "accept the model's terms" in failure.what_to_do

    def test_a_wrong_token_is_named_by_its_file_and_never_shown(
        self, make_settings: MakeSettings, open_hub: OpenHub, tmp_path: Path, log_lines: LogLines
    ) -> None:
        (tmp_path / "hf_token").write_text("hf_expired")
        settings = make_settings()
        failure = failure_of(settings, open_hub(settings))
        assert failure.code == ExitCode.ACCESS_DENIED
        assert "has no valid token" in failure.error
        assert "pulumi config set --secret hfToken" in failure.what_to_do
        assert "hf_expired" not in failure.error + failure.what_to_do + str(log_lines())

    def test_a_private_model_without_a_token(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub
    ) -> None:
        hub.private = True
        settings = make_settings()
        failure = failure_of(settings, open_hub(settings))
        assert failure.code == ExitCode.ACCESS_DENIED
        assert "private, gated or does not exist" in failure.error

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"repository": "someone/else"}, "does not have the repository someone/else"),
            ({"revision": "v9"}, "does not have model.gguf at revision v9"),
            ({"file": "other.gguf"}, "does not have other.gguf at revision main"),
        ],
    )
    def test_a_repository_revision_or_file_that_the_hub_does_not_have(
        self,
        hub: FakeHub,
        make_settings: MakeSettings,
        open_hub: OpenHub,
        tmp_path: Path,
        changes: dict[str, str],
        error: str,
    ) -> None:
        hub.allowed_token = "hf_secret"
        (tmp_path / "hf_token").write_text("hf_secret")
        settings = make_settings(**changes)
        failure = failure_of(settings, open_hub(settings))
        assert failure.code == ExitCode.NOT_ON_HUB
        assert error in failure.error
        assert f"{hub.endpoint}/" in failure.what_to_do

    def test_refusals_are_not_repeated(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub, pauses: list[float]
    ) -> None:
        hub.gated = True
        settings = make_settings()
        failure_of(settings, open_hub(settings))
        assert pauses == []
        assert len(hub.requests) == 1

    def test_a_missing_network_is_reported_after_some_attempts(
        self, make_settings: MakeSettings, open_hub: OpenHub, pauses: list[float]
    ) -> None:
        settings = make_settings(hub_url="http://no-such-host.invalid")
        failure = failure_of(settings, open_hub(settings))
        assert failure.code == ExitCode.HUB_UNREACHABLE
        assert "no-such-host.invalid" in failure.error
        assert "network" in failure.what_to_do
        assert len(pauses) == ATTEMPTS - 1


class TestDisk:
    def test_too_little_space_is_reported_before_the_download(
        self,
        hub: FakeHub,
        make_settings: MakeSettings,
        open_hub: OpenHub,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 20_000_000))
        old = tmp_path / "models/old/main/old.gguf"
        old.parent.mkdir(parents=True)
        old.write_bytes(b"x" * 10_000_000)
        settings = make_settings()
        failure = failure_of(settings, open_hub(settings))
        assert failure.code == ExitCode.NO_SPACE
        assert "needs 0.07 GB" in failure.error
        assert "0.02 GB are free" in failure.error
        assert f"{old} (0.01 GB)" in failure.what_to_do, "what could be deleted is listed"
        assert hub.bytes_sent == 0

    def test_the_partial_file_is_kept_when_the_disk_fills_up(
        self,
        make_settings: MakeSettings,
        open_hub: OpenHub,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def report(self: object, received: int) -> None:
            if received > 2_000_000:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("app.inference.model.progress.ProgressReports.__call__", report)
        settings = make_settings()
        failure = failure_of(settings, open_hub(settings))
        assert failure.code == ExitCode.NO_SPACE
        [partial] = (tmp_path / "models").rglob("*.partial")
        assert partial.stat().st_size > 2_000_000

    def test_a_models_directory_that_cannot_be_made(
        self, make_settings: MakeSettings, open_hub: OpenHub, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        settings = make_settings(models_dir=tmp_path / "file/models")
        failure = failure_of(settings, open_hub(settings))
        assert failure.code == ExitCode.MODELS_DIR_UNUSABLE
        assert "mount a volume" in failure.what_to_do


class TestLocalFile:
    def local(self, make_settings: MakeSettings, file: Path, **changes: Any) -> Given:
        return make_settings(path=str(file), repository=None, file=None, **changes)

    def test_it_is_served_from_its_path(self, make_settings: MakeSettings, tmp_path: Path) -> None:
        file = tmp_path / "own.gguf"
        file.write_bytes(MODEL)
        assert self.local(make_settings, file).obtain(no_hub) == file

    def test_its_digest_is_read_once(
        self, make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "own.gguf"
        file.write_bytes(MODEL)
        settings = self.local(make_settings, file)
        settings.obtain(no_hub)
        monkeypatch.setattr(
            "app.inference.model.digest.sha256_of", lambda file: pytest.fail("read again")
        )
        assert settings.obtain(no_hub) == file

    def test_it_needs_no_models_directory(
        self, make_settings: MakeSettings, tmp_path: Path
    ) -> None:
        file = tmp_path / "own.gguf"
        file.write_bytes(MODEL)
        (tmp_path / "blocked").touch()
        settings = self.local(make_settings, file, models_dir=tmp_path / "blocked/models")
        assert settings.obtain(no_hub) == file

    def test_a_missing_one(self, make_settings: MakeSettings, tmp_path: Path) -> None:
        failure = failure_of(self.local(make_settings, tmp_path / "none.gguf"), no_hub)
        assert failure.code == ExitCode.MODEL_MISSING
        assert str(tmp_path / "none.gguf") in failure.error

    def test_one_with_another_digest(self, make_settings: MakeSettings, tmp_path: Path) -> None:
        file = tmp_path / "own.gguf"
        file.write_bytes(MODEL + b"!")
        failure = failure_of(self.local(make_settings, file), no_hub)
        assert failure.code == ExitCode.WRONG_DIGEST

    @pytest.mark.parametrize(
        ("content", "error"),
        [
            (b"", "not a GGUF file"),
            (b"<!doctype html>", "begins with b'<!do'"),
            (b"GGUF\x01\x00\x00\x00", "GGUF version 1"),
        ],
    )
    def test_one_that_is_not_a_model(
        self, make_settings: MakeSettings, tmp_path: Path, content: bytes, error: str
    ) -> None:
        file = tmp_path / "own.gguf"
        file.write_bytes(content)
        failure = failure_of(self.local(make_settings, file), no_hub)
        assert failure.code == ExitCode.NOT_A_MODEL
        assert error in failure.error


def test_the_commit_of_a_branch_is_fixed_for_the_whole_download(
    hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub
) -> None:
    settings = make_settings(revision="main")
    settings.obtain(open_hub(settings))
    downloads = [path for method, path, _ in hub.requests if method == "GET" and "resolve" in path]
    assert downloads == [f"/{hub.repository}/resolve/{COMMIT}/{hub.name}"]


class TestSeveralFiles:
    PARTS = tuple(f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3))

    @pytest.fixture
    def split(self, hub: FakeHub, make_settings: MakeSettings) -> Callable[..., Given]:
        """Settings for a model in three parts; keyword arguments change the second one."""
        hub.name, *others = self.PARTS
        hub.others = {name: MODEL + name.encode() for name in others}

        def make(**changes: Any) -> Given:
            second, third = (
                {"repository": hub.repository, "file": name, "sha256": hub.sha256_of(name)}
                for name in others
            )
            return make_settings(second | changes, third)

        return make

    def test_the_parts_of_a_split_model_are_beside_each_other(
        self, split: Callable[..., Given], open_hub: OpenHub, hub: FakeHub
    ) -> None:
        given = split()
        first = given.obtain(open_hub(given))
        assert first.name == self.PARTS[0]
        found = {file.name: file.read_bytes() for file in first.parent.glob("*.gguf")}
        assert found == hub.files

    def test_a_second_start_needs_no_hub(
        self, split: Callable[..., Given], open_hub: OpenHub
    ) -> None:
        given = split()
        assert given.obtain(open_hub(given)) == given.obtain(no_hub)

    def test_only_a_missing_part_is_fetched_again(
        self, split: Callable[..., Given], open_hub: OpenHub, hub: FakeHub
    ) -> None:
        given = split()
        first = given.obtain(open_hub(given))
        first.with_name(self.PARTS[1]).unlink()
        hub.bytes_sent = 0
        given.obtain(open_hub(given))
        assert hub.bytes_sent == len(hub.others[self.PARTS[1]])

    def test_a_wrong_digest_names_the_part_before_anything_is_fetched(
        self, split: Callable[..., Given], open_hub: OpenHub, hub: FakeHub
    ) -> None:
        given = split(sha256="00" * 32)
        failure = failure_of(given, open_hub(given))
        assert failure.code == ExitCode.WRONG_DIGEST
        assert failure.error == (
            f"wrong SHA-256 of part 2 of 3 of the model, {self.PARTS[1]} on the hub: "
            f"expected {'00' * 32}, found {hub.sha256_of(self.PARTS[1])}"
        )
        assert f"/blob/main/{self.PARTS[1]}" in failure.what_to_do
        assert hub.bytes_sent == 0

    def test_a_part_that_the_hub_does_not_have_is_named_before_anything_is_fetched(
        self, split: Callable[..., Given], open_hub: OpenHub, hub: FakeHub
    ) -> None:
        given = split()
        del hub.others[self.PARTS[2]]
        failure = failure_of(given, open_hub(given))
        assert failure.code == ExitCode.NOT_ON_HUB
        assert f"{self.PARTS[2]} at revision main (part 3 of 3 of the model)" in failure.error
        assert hub.bytes_sent == 0

    def test_the_space_for_all_parts_is_checked_before_the_first_one(
        self,
        split: Callable[..., Given],
        open_hub: OpenHub,
        hub: FakeHub,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        usage = namedtuple("usage", "total used free")
        enough_for_two = 64 * 1024**2 + 2 * len(MODEL) + 1000
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, enough_for_two))
        given = split()
        failure = failure_of(given, open_hub(given))
        assert failure.code == ExitCode.NO_SPACE
        assert f"{self.PARTS[0]} and 2 more files: needs 0.08 GB" in failure.error
        assert hub.bytes_sent == 0

    def test_the_progress_names_the_part(
        self,
        split: Callable[..., Given],
        open_hub: OpenHub,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("app.inference.model.progress.REPORT_SECONDS", 0.0)
        given, reported = split(), list[str]()
        given.obtain(open_hub(given), reported.append)
        assert any(step.startswith("fetching part 3 of 3 of the model: ") for step in reported)

    def test_two_models_with_a_file_in_common_do_not_wait_for_each_other(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub
    ) -> None:
        hub.others = {"draft.gguf": MODEL + b"draft"}
        draft = {
            "role": "draft",
            "repository": hub.repository,
            "file": "draft.gguf",
            "sha256": hub.sha256_of("draft.gguf"),
        }
        other_way = {**draft, "role": "model"}, {**draft, "file": hub.name, "sha256": hub.sha256}
        one = make_settings(draft)
        two = Given(model_settings(*other_way, hub=hub.endpoint), one.models_dir, one.token_file)
        starts = [
            threading.Thread(target=given.obtain, args=(open_hub(given),), daemon=True)
            for given in (one, two, one, two)
        ]
        for start in starts:
            start.start()
        for start in starts:
            start.join(timeout=60)
        assert not any(start.is_alive() for start in starts)
        assert hub.bytes_sent == len(MODEL) + len(MODEL + b"draft")

    def test_a_model_that_is_its_own_draft_model_is_fetched_once(
        self, hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub
    ) -> None:
        file = {"repository": hub.repository, "file": hub.name, "sha256": hub.sha256}
        given = make_settings({**file, "role": "draft"})
        ready = given.obtain_all(open_hub(given))
        assert ready.draft == ready.model
        assert hub.bytes_sent == len(MODEL)

    def test_files_beside_the_model_are_found_by_their_role(
        self, make_settings: MakeSettings, open_hub: OpenHub, tmp_path: Path
    ) -> None:
        for name in ("p", "a", "d"):
            (tmp_path / f"{name}.gguf").write_bytes(MODEL)
        given = make_settings(
            {"role": "projector", "path": str(tmp_path / "p.gguf")},
            {"role": "adapter", "path": str(tmp_path / "a.gguf"), "scale": 0.5},
            {"role": "draft", "path": str(tmp_path / "d.gguf")},
        )
        ready = given.obtain_all(open_hub(given))
        assert ready.projector == tmp_path / "p.gguf"
        assert [(one.path, one.scale) for one in ready.adapters] == [(tmp_path / "a.gguf", 0.5)]
        assert ready.draft == tmp_path / "d.gguf"

    def test_a_missing_local_file_is_named_by_its_role(
        self, make_settings: MakeSettings, tmp_path: Path
    ) -> None:
        missing = tmp_path / "none.gguf"
        failure = failure_of(make_settings({"role": "projector", "path": str(missing)}), no_hub)
        assert failure.code == ExitCode.MODEL_MISSING
        assert failure.error == f"the projector, {missing}: does not exist or is not a file"
