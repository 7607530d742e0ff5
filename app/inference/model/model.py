"""Puts the model file in its place: found, or fetched, and in both cases checked.

In the models directory a hub's file lies under `<owner>--<name>/<revision>/<file>`. Beside it are a
lock file, the record of its digest and, while it is being fetched, a partial file, whose name
carries the hub's ETag so that parts of two different files are never joined.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.inference.failure import ExitCode, Failure
from app.inference.model.digest import remember, remembered_sha256, sha256_of
from app.inference.model.gguf_header import check_gguf
from app.inference.model.hub import Hub, RemoteFile
from app.inference.model.progress import ProgressReports
from app.inference.settings import Settings
from app.shared.json_log import Log

log = Log(__name__)

SPARE_BYTES = 64 * 1024 * 1024
"""Room that must stay free beside the model, for records and for whatever else shares the disk."""


def obtain_model(settings: Settings, hub: Callable[[], Hub], tell: Callable[[str], None]) -> Path:
    """The model's path, ready to be served. Raises Failure.

    `hub` is called only when something must be fetched: a model that is already there needs neither
    network nor token. `tell` receives what is being done, in words.
    """
    if settings.model_path is not None:
        return _local_file(settings, settings.model_path, tell)
    assert settings.model_repository is not None
    assert settings.model_file is not None
    folder = (
        settings.models_dir
        / settings.model_repository.replace("/", "--")
        / settings.model_revision.replace("/", "--")
    )
    place = folder / settings.model_file
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _one_writer(place.with_name(f"{place.name}.lock"), tell):
            if not _is_in_place(settings, place, tell):
                _fetch(settings, hub(), place, tell)
    except OSError as error:
        raise Failure(
            ExitCode.MODELS_DIR_UNUSABLE,
            f"the models directory cannot be used: {error}",
            what_to_do=f"mount a volume at {settings.models_dir} that uid {os.getuid()} may write",
        ) from error
    check_gguf(place)
    return place


def _local_file(settings: Settings, file: Path, tell: Callable[[str], None]) -> Path:
    if not file.is_file():
        raise Failure(
            ExitCode.MODEL_MISSING,
            f"MODEL_PATH: there is no file {file}",
            what_to_do="mount the directory that holds the model, or correct the path",
        )
    try:
        check_gguf(file)
        tell("checking the model's SHA-256")
        record = settings.models_dir / "local" / f"{'_'.join(file.parts[1:])}.sha256.json"
        found = remembered_sha256(file, record)
    except OSError as error:
        raise Failure(
            ExitCode.MODEL_MISSING,
            f"MODEL_PATH: {file} cannot be read: {error.strerror}",
            what_to_do=f"make it readable for uid {os.getuid()}",
        ) from error
    if settings.model_sha256 is None:
        _warn_unpinned(found)
    elif found != settings.model_sha256:
        raise _wrong_digest(str(file), settings.model_sha256, found, "put the right file there")
    return file


def _is_in_place(settings: Settings, place: Path, tell: Callable[[str], None]) -> bool:
    """Whether the file of an earlier start may be served."""
    if not place.is_file():
        return False
    tell("checking the model's SHA-256")
    found = remembered_sha256(place, _record_of(place))
    if settings.model_sha256 is None:
        _warn_unpinned(found)
    elif found != settings.model_sha256:
        log.warning(
            "the model that is there is not the one asked for; fetching it again",
            file=str(place),
            expected_sha256=settings.model_sha256,
            found_sha256=found,
        )
        return False
    log.info("the model is already there", file=str(place), sha256=found)
    return True


def _fetch(settings: Settings, hub: Hub, place: Path, tell: Callable[[str], None]) -> None:
    assert settings.model_repository is not None
    assert settings.model_file is not None
    tell("asking the hub for the model")
    remote = hub.describe(settings.model_repository, settings.model_file, settings.model_revision)
    expected = settings.model_sha256
    if expected is not None and remote.sha256 not in (None, expected):
        # Said by the hub before the first byte: no reason to fetch gigabytes to find out.
        raise _wrong_digest(
            f"{remote.repository}/{remote.name} on the hub",
            expected,
            str(remote.sha256),
            _correct_the_pin(settings),
        )
    # Known by now not to be the file that is wanted, and it holds the room that file needs.
    place.unlink(missing_ok=True)

    partial = place.with_name(f"{place.name}.{remote.etag[:16]}.partial")
    _discard_other_partials(place, partial)
    _check_free_space(settings.models_dir, remote, partial)
    log.info(
        "fetching the model",
        repository=remote.repository,
        file=remote.name,
        commit=remote.commit,
        total_bytes=remote.size_bytes,
        already_there_bytes=_size(partial),
    )
    hub.download(remote, partial, ProgressReports(remote.size_bytes, tell))

    tell("checking the model's SHA-256")
    found = sha256_of(partial)
    if expected is None:
        _warn_unpinned(found)
    if found != (expected or remote.sha256 or found):
        partial.unlink()
        raise _wrong_digest(
            f"{remote.name}, as it arrived (now deleted)",
            str(expected or remote.sha256),
            found,
            f"start again; if it happens twice, {_correct_the_pin(settings)}",
        )
    _move_for_good(partial, place)
    remember(place, found, _record_of(place))
    log.info("the model is in place", file=str(place), sha256=found)


def _move_for_good(partial: Path, place: Path) -> None:
    """Moves in one step, once the bytes are on the disk: a power cut leaves all or nothing."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(partial, place)


@contextmanager
def _one_writer(lock: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Containers that share a models directory fetch a file once: the others wait, then find it."""
    with lock.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("waiting for another container that is fetching the same model")
            log.info("another container is fetching the same model; waiting", lock=str(lock))
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _check_free_space(models_dir: Path, remote: RemoteFile, partial: Path) -> None:
    if remote.size_bytes is None:
        return
    need = remote.size_bytes - _size(partial) + SPARE_BYTES
    have = shutil.disk_usage(models_dir).free
    if have >= need:
        return
    others = sorted(models_dir.rglob("*.gguf"), key=_size, reverse=True)
    listed = ", ".join(f"{file} ({_gb(_size(file))})" for file in others[:5])
    raise Failure(
        ExitCode.NO_SPACE,
        f"{remote.name} needs {_gb(need)} in {models_dir}, and {_gb(have)} are free",
        what_to_do="give the volume more room"
        + (f", or delete a model that no service uses any more: {listed}" if listed else ""),
    )


def _discard_other_partials(place: Path, partial: Path) -> None:
    for file in place.parent.iterdir():
        ours = file.name.startswith(f"{place.name}.") and file.suffix == ".partial"
        if ours and file != partial:
            log.info("deleting a partial download of another version", file=str(file))
            file.unlink()


def _wrong_digest(subject: str, expected: str, found: str, what_to_do: str) -> Failure:
    return Failure(
        ExitCode.WRONG_DIGEST,
        f"wrong SHA-256 of {subject}: expected {expected}, found {found}",
        what_to_do=what_to_do,
    )


def _correct_the_pin(settings: Settings) -> str:
    return (
        "compare MODEL_REVISION and MODEL_SHA256 with the file's page at "
        f"{settings.hf_endpoint}/{settings.model_repository}/blob/{settings.model_revision}/"
        f"{settings.model_file}"
    )


def _warn_unpinned(found: str) -> None:
    log.warning(
        "the model's digest is not pinned: whatever file arrives is served",
        found_sha256=found,
        what_to_do="set MODEL_SHA256 to this value if the file is trusted",
    )


def _record_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.sha256.json")


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
