"""Provides the model file: finds or downloads it, and checks it.

In the models directory a file from a hub has the path `<owner>--<name>/<revision>/<file>`. Beside
it are a lock file, the record of its digest and, during the download, a partial file. The partial
file's name contains the hub's ETag, so that parts of two different files are never joined.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.inference.failure import ExitCode, StartupError
from app.inference.model.digest import recorded_sha256, sha256_of, write_record
from app.inference.model.gguf_header import check_gguf
from app.inference.model.hub import Hub, RemoteFile
from app.inference.model.progress import ProgressReports
from app.inference.settings import Settings
from app.shared.json_log import Log

log = Log(__name__)

SPARE_BYTES = 64 * 1024 * 1024
"""Space that must stay free beside the model, for records and other users of the disk."""


def obtain_model(settings: Settings, hub: Callable[[], Hub], report: Callable[[str], None]) -> Path:
    """The path of the model, checked and ready to serve; raises StartupError.

    :param hub: called only if a download is needed: a model that is already there needs neither
        network nor token.
    :param report: receives the current step as text.
    """
    if settings.model_path is not None:
        return _local_file(settings, settings.model_path, report)
    assert settings.model_repository is not None
    assert settings.model_file is not None
    folder = (
        settings.models_dir
        / settings.model_repository.replace("/", "--")
        / settings.model_revision.replace("/", "--")
    )
    target = folder / settings.model_file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(target.with_name(f"{target.name}.lock"), report):
            if not _is_usable(settings, target, report):
                _fetch(settings, hub(), target, report)
    except OSError as error:
        raise StartupError(
            ExitCode.MODELS_DIR_UNUSABLE,
            f"the models directory cannot be used: {error}",
            what_to_do=f"mount a volume at {settings.models_dir} that uid {os.getuid()} can write",
        ) from error
    check_gguf(target)
    return target


def _local_file(settings: Settings, file: Path, report: Callable[[str], None]) -> Path:
    if not file.is_file():
        raise StartupError(
            ExitCode.MODEL_MISSING,
            f"MODEL_PATH: {file} does not exist or is not a file",
            what_to_do="mount the directory of the model, or correct the path",
        )
    try:
        check_gguf(file)
        report("checking the model's SHA-256")
        record = settings.models_dir / "local" / f"{'_'.join(file.parts[1:])}.sha256.json"
        found = recorded_sha256(file, record)
    except OSError as error:
        raise StartupError(
            ExitCode.MODEL_MISSING,
            f"MODEL_PATH: {file} cannot be read: {error.strerror}",
            what_to_do=f"make it readable for uid {os.getuid()}",
        ) from error
    if settings.model_sha256 is None:
        _warn_unpinned(found)
    elif found != settings.model_sha256:
        raise _wrong_digest(str(file), settings.model_sha256, found, "replace the file")
    return file


def _is_usable(settings: Settings, target: Path, report: Callable[[str], None]) -> bool:
    """Whether the file of an earlier start can be served."""
    if not target.is_file():
        return False
    report("checking the model's SHA-256")
    found = recorded_sha256(target, _record_of(target))
    if settings.model_sha256 is None:
        _warn_unpinned(found)
    elif found != settings.model_sha256:
        log.warning(
            "the existing model file has the wrong digest; fetching it again",
            file=str(target),
            expected_sha256=settings.model_sha256,
            found_sha256=found,
        )
        return False
    log.info("the model is already there", file=str(target), sha256=found)
    return True


def _fetch(settings: Settings, hub: Hub, target: Path, report: Callable[[str], None]) -> None:
    assert settings.model_repository is not None
    assert settings.model_file is not None
    report("asking the hub for the model")
    remote = hub.describe(settings.model_repository, settings.model_file, settings.model_revision)
    expected = settings.model_sha256
    if expected is not None and remote.sha256 not in (None, expected):
        # The hub announces the digest: fail before downloading gigabytes.
        raise _wrong_digest(
            f"{remote.repository}/{remote.name} on the hub",
            expected,
            str(remote.sha256),
            _compare_pin(settings),
        )
    # An existing file has the wrong digest, and takes up the space that the new one needs.
    target.unlink(missing_ok=True)

    partial = target.with_name(f"{target.name}.{remote.etag[:16]}.partial")
    _discard_other_partials(target, partial)
    _check_free_space(settings.models_dir, remote, partial)
    log.info(
        "fetching the model",
        repository=remote.repository,
        file=remote.name,
        commit=remote.commit,
        total_bytes=remote.size_bytes,
        already_there_bytes=_size(partial),
    )
    hub.download(remote, partial, ProgressReports(remote.size_bytes, report))

    report("checking the model's SHA-256")
    found = sha256_of(partial)
    if expected is None:
        _warn_unpinned(found)
    if found != (expected or remote.sha256 or found):
        partial.unlink()
        raise _wrong_digest(
            f"the downloaded {remote.name} (deleted)",
            str(expected or remote.sha256),
            found,
            f"start again; if it fails again, {_compare_pin(settings)}",
        )
    _move_durably(partial, target)
    write_record(target, found, _record_of(target))
    log.info("the model is in place", file=str(target), sha256=found)


def _move_durably(partial: Path, target: Path) -> None:
    """Move atomically once the content is on disk: after a power cut it is complete or absent."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(partial, target)


@contextmanager
def _exclusive(lock: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Lock a file: of containers with the same models directory, one downloads, the others wait."""
    with lock.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another container that is fetching the same model")
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
    raise StartupError(
        ExitCode.NO_SPACE,
        f"{remote.name} needs {_gb(need)} in {models_dir}, but {_gb(have)} are free",
        what_to_do="enlarge the volume"
        + (f", or delete a model that is not used any more: {listed}" if listed else ""),
    )


def _discard_other_partials(target: Path, partial: Path) -> None:
    for file in target.parent.iterdir():
        is_partial = file.name.startswith(f"{target.name}.") and file.suffix == ".partial"
        if is_partial and file != partial:
            log.info("deleting a partial download of another version", file=str(file))
            file.unlink()


def _wrong_digest(subject: str, expected: str, found: str, what_to_do: str) -> StartupError:
    return StartupError(
        ExitCode.WRONG_DIGEST,
        f"wrong SHA-256 of {subject}: expected {expected}, found {found}",
        what_to_do=what_to_do,
    )


def _compare_pin(settings: Settings) -> str:
    return (
        "compare MODEL_REVISION and MODEL_SHA256 with the file's page at "
        f"{settings.hf_endpoint}/{settings.model_repository}/blob/{settings.model_revision}/"
        f"{settings.model_file}"
    )


def _warn_unpinned(found: str) -> None:
    log.warning(
        "the model's digest is not pinned: any file is accepted",
        found_sha256=found,
        what_to_do="set MODEL_SHA256 to this value if the file is trusted",
    )


def _record_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256.json")


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
