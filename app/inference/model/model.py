"""Provides the files of a model: finds or downloads each of them, and checks it.

In the models directory a file from a hub has the path `<owner>--<name>/<revision>/<file>`. Beside
it are a lock file, the record of its digest and, during the download, a partial file. The partial
file's name contains the hub's ETag, so that parts of two different files are never joined.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.inference.failure import ExitCode, StartupError
from app.inference.model.digest import recorded_sha256, sha256_of, write_record
from app.inference.model.gguf_header import check_gguf
from app.inference.model.hub import Hub, RemoteFile
from app.inference.model.progress import ProgressReports
from app.inference.settings import ModelFile, ModelSettings, Role
from app.shared.json_log import Log

log = Log(__name__)

SPARE_BYTES = 64 * 1024 * 1024
"""Space that must stay free beside the files, for records and other users of the disk."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter, and how much it changes the model."""

    path: Path
    scale: float


@dataclass(frozen=True)
class ReadyFiles:
    """Where the files of a model are, checked and ready to serve."""

    model: Path
    """Of a split model the first part: llama-server finds the others beside it."""
    projector: Path | None = None
    adapters: tuple[Adapter, ...] = ()
    draft: Path | None = None


@dataclass(frozen=True)
class _Wanted:
    """A file of the settings."""

    file: ModelFile
    label: str
    """What messages call it."""
    target: Path
    """Where it is, or will be."""
    models_dir: Path

    @property
    def subject(self) -> str:
        """Label and name."""
        return f"{self.label}, {self.file.file or self.file.path}"

    @property
    def record(self) -> Path:
        """The record of its digest."""
        if self.file.path is None:
            return self.target.with_name(f"{self.target.name}.sha256.json")
        return self.models_dir / "local" / f"{'_'.join(self.target.parts[1:])}.sha256.json"

    @property
    def page(self) -> str:
        """Its page below the hub's address."""
        return f"{self.file.repository}/blob/{self.file.revision}/{self.file.file}"


@dataclass(frozen=True)
class _Download:
    """A file that has to be downloaded, as the hub describes it."""

    wanted: _Wanted
    remote: RemoteFile

    @property
    def partial(self) -> Path:
        target = self.wanted.target
        return target.with_name(f"{target.name}.{self.remote.etag[:16]}.partial")

    @property
    def size_bytes(self) -> int | None:
        return self.remote.size_bytes or self.wanted.file.size


def obtain_files(
    settings: ModelSettings, models_dir: Path, hub: Callable[[], Hub], report: Report
) -> ReadyFiles:
    """The files of the model, checked and ready to serve; raises StartupError.

    :param hub: called only if a download is needed: files that are already there need neither
        network nor token.
    :param report: receives the current step as text.
    """
    wanted = [_wanted(file, label, models_dir) for label, file in settings.labelled_files()]
    from_hub = [one for one in wanted if one.file.path is None]
    for one in wanted:
        if one.file.path is not None:
            _check_local(one, report)
    if from_hub:
        try:
            _complete(from_hub, models_dir, hub, report)
        except OSError as error:
            raise StartupError(
                ExitCode.MODELS_DIR_UNUSABLE,
                f"the models directory cannot be used: {error}",
                what_to_do=f"mount a volume at {models_dir} that uid {os.getuid()} can write",
            ) from error
    for one in from_hub:
        check_gguf(one.target)
    return _ready(wanted)


def _wanted(file: ModelFile, label: str, models_dir: Path) -> _Wanted:
    if file.path is not None:
        return _Wanted(file, label, file.path, models_dir)
    assert file.repository is not None
    assert file.file is not None
    repository, revision = file.repository.replace("/", "--"), file.revision.replace("/", "--")
    return _Wanted(file, label, models_dir / repository / revision / file.file, models_dir)


def _ready(wanted: Sequence[_Wanted]) -> ReadyFiles:
    def paths(role: Role) -> list[Path]:
        return [one.target for one in wanted if one.file.role is role]

    return ReadyFiles(
        model=paths(Role.MODEL)[0],
        projector=next(iter(paths(Role.PROJECTOR)), None),
        adapters=tuple(
            Adapter(one.target, one.file.scale) for one in wanted if one.file.role is Role.ADAPTER
        ),
        draft=next(iter(paths(Role.DRAFT)), None),
    )


def _check_local(wanted: _Wanted, report: Report) -> None:
    file = wanted.target
    if not file.is_file():
        raise StartupError(
            ExitCode.MODEL_MISSING,
            f"{wanted.subject}: does not exist or is not a file",
            what_to_do="mount the directory of the model, or correct path in services.yaml",
        )
    try:
        check_gguf(file)
        report(f"checking the SHA-256 of {wanted.label}")
        found = recorded_sha256(file, wanted.record)
    except OSError as error:
        raise StartupError(
            ExitCode.MODEL_MISSING,
            f"{wanted.subject}: cannot be read: {error.strerror}",
            what_to_do=f"make it readable for uid {os.getuid()}",
        ) from error
    expected = wanted.file.sha256
    if expected is None:
        _warn_unpinned(wanted, found)
    elif found != expected:
        raise _wrong_digest(wanted.subject, expected, found, "replace the file")


def _complete(
    files: Sequence[_Wanted], models_dir: Path, hub: Callable[[], Hub], report: Report
) -> None:
    """Download what is missing. All locks are held meanwhile, and taken in one order by every
    container, so that two with the same files never wait for each other."""
    # A model can be its own draft model: a file has one lock.
    files = list({one.target: one for one in reversed(files)}.values())[::-1]
    with ExitStack() as locks:
        for one in sorted(files, key=lambda one: one.target):
            one.target.parent.mkdir(parents=True, exist_ok=True)
            lock = one.target.with_name(f"{one.target.name}.lock")
            locks.enter_context(_exclusive(lock, report))
        missing = [one for one in files if not _is_usable(one, report)]
        if not missing:
            return
        client = hub()
        report("asking the hub for the model")
        # The hub announces digests and sizes: fail before downloading gigabytes.
        downloads = [_described(one, client) for one in missing]
        for download in downloads:
            # An existing file has the wrong digest, and takes up space.
            download.wanted.target.unlink(missing_ok=True)
            _discard_other_partials(download.wanted.target, download.partial)
        _check_free_space(downloads, models_dir)
        for download in downloads:
            _fetch(download, client, report)


def _is_usable(wanted: _Wanted, report: Report) -> bool:
    """Whether the file of an earlier start can be served."""
    if not wanted.target.is_file():
        return False
    report(f"checking the SHA-256 of {wanted.label}")
    found = recorded_sha256(wanted.target, wanted.record)
    expected = wanted.file.sha256
    if expected is None:
        _warn_unpinned(wanted, found)
    elif found != expected:
        log.warning(
            f"{wanted.label} on the disk has the wrong digest; fetching it again",
            file=str(wanted.target),
            expected_sha256=expected,
            found_sha256=found,
        )
        return False
    log.info(f"{wanted.label} is already there", file=str(wanted.target), sha256=found)
    return True


def _described(wanted: _Wanted, hub: Hub) -> _Download:
    file = wanted.file
    assert file.repository is not None
    assert file.file is not None
    remote = hub.describe(file.repository, file.file, file.revision, label=wanted.label)
    if file.sha256 is not None and remote.sha256 not in (None, file.sha256):
        raise _wrong_digest(
            f"{wanted.subject} on the hub",
            file.sha256,
            str(remote.sha256),
            _compare_pin(wanted, hub),
        )
    return _Download(wanted, remote)


def _fetch(download: _Download, hub: Hub, report: Report) -> None:
    wanted, remote, partial = download.wanted, download.remote, download.partial
    log.info(
        f"fetching {wanted.label}",
        repository=remote.repository,
        file=remote.name,
        commit=remote.commit,
        total_bytes=remote.size_bytes,
        already_there_bytes=_size(partial),
    )
    progress = ProgressReports(download.size_bytes, report, wanted.label)
    hub.download(remote, partial, progress)

    report(f"checking the SHA-256 of {wanted.label}")
    found = sha256_of(partial)
    expected = wanted.file.sha256
    if expected is None:
        _warn_unpinned(wanted, found)
    if found != (expected or remote.sha256 or found):
        partial.unlink()
        raise _wrong_digest(
            f"{wanted.subject}, as downloaded (deleted)",
            str(expected or remote.sha256),
            found,
            f"start again; if it fails again, {_compare_pin(wanted, hub)}",
        )
    _move_durably(partial, wanted.target)
    write_record(wanted.target, found, wanted.record)
    log.info(f"{wanted.label} is in place", file=str(wanted.target), sha256=found)


def _move_durably(partial: Path, target: Path) -> None:
    """Move atomically once the content is on disk: after a power cut it is complete or absent."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(partial, target)


@contextmanager
def _exclusive(lock: Path, report: Report) -> Iterator[None]:
    """Lock a file: of containers with the same models directory, one downloads, the others wait."""
    with lock.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another container that is fetching the same model")
            log.info("another container is fetching the same model; waiting", lock=str(lock))
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _check_free_space(downloads: Sequence[_Download], models_dir: Path) -> None:
    sized = [one for one in downloads if one.size_bytes is not None]
    if not sized:
        return
    need = sum((one.size_bytes or 0) - _size(one.partial) for one in sized) + SPARE_BYTES
    have = shutil.disk_usage(models_dir).free
    if have >= need:
        return
    first, rest = sized[0].wanted.file.file, len(sized) - 1
    others = sorted(models_dir.rglob("*.gguf"), key=_size, reverse=True)
    listed = ", ".join(f"{file} ({_gb(_size(file))})" for file in others[:5])
    raise StartupError(
        ExitCode.NO_SPACE,
        f"{first}{f' and {rest} more files' if rest else ''}: needs {_gb(need)} in {models_dir}, "
        f"but {_gb(have)} are free",
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


def _compare_pin(wanted: _Wanted, hub: Hub) -> str:
    return (
        "compare revision and sha256 in services.yaml with the file's page at "
        f"{hub.endpoint}/{wanted.page}"
    )


def _warn_unpinned(wanted: _Wanted, found: str) -> None:
    log.warning(
        f"the digest of {wanted.label} is not pinned: any file is accepted",
        file=str(wanted.target),
        found_sha256=found,
        what_to_do="set sha256 in services.yaml to this value if the file is trusted",
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
