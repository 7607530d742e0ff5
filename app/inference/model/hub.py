"""Client of the model hub: describes a file, and downloads it with resumption.

The protocol is that of the Hugging Face Hub: HEAD `/<repository>/resolve/<revision>/<file>` returns
the commit, the size and an ETag (for every large file its SHA-256); GET with a Range header returns
the content. huggingface_hub's own download deletes a partial file when it fails, so the download is
implemented here, with the session and error types of that library.
"""

import errno
import logging
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import httpx2
from huggingface_hub import get_hf_file_metadata, get_session, hf_hub_url, set_client_factory
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, not re-exported
    build_hf_headers,
    hf_raise_for_status,
)

from app.inference.failure import ExitCode, StartupError
from app.shared.json_log import Log

log = Log(__name__)

ATTEMPTS = 5
"""Consecutive attempts without a new byte before it gives up."""
FIRST_PAUSE_SECONDS = 1.0
"""Doubles after each attempt without a new byte."""
READ_TIMEOUT_SECONDS = 30.0
CHUNK_BYTES = 1024 * 1024
TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})
NOT_TRUSTED = "CERTIFICATE_VERIFY_FAILED"
"""OpenSSL's name of the error, which is part of each library's error text."""
LOOKS_LIKE_SHA256 = re.compile(r"[0-9a-f]{64}")

Result = TypeVar("Result")


@dataclass(frozen=True)
class RemoteFile:
    """A file on the hub, at one commit. `sha256` is None where the hub does not report it."""

    repository: str
    name: str
    commit: str
    etag: str
    size_bytes: int | None

    @property
    def sha256(self) -> str | None:
        return self.etag if LOOKS_LIKE_SHA256.fullmatch(self.etag) else None


def route_library_logs() -> None:
    """Send huggingface_hub's log to the handlers of the root logger, and silence HTTP requests."""
    library = logging.getLogger("huggingface_hub")
    # The library adds its own handler, which writes plain text.
    library.handlers.clear()
    library.propagate = True
    # A line for each HTTP request adds nothing to the progress lines.
    for chatty in ("httpx2", "httpcore2", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def trust_authorities(file: Path) -> None:
    """Trust the certificate authorities in a PEM file, in addition to those of the image.

    Raises StartupError if the file cannot be used.
    """
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(file)
    except OSError as error:
        raise StartupError(
            ExitCode.BAD_SETTINGS,
            f"EXTRA_CA_FILE: {file} cannot be used: {error.strerror or error}",
            what_to_do="set llm-stack:caFile to a PEM file of authorities, then run pulumi up",
        ) from error
    hooks = get_session().event_hooks
    # The same client as the library's own, except for the authorities.
    set_client_factory(
        lambda: httpx2.Client(
            event_hooks=hooks, follow_redirects=True, timeout=None, verify=context
        )
    )


class Hub:
    """A model hub, used with one token."""

    def __init__(
        self,
        endpoint: str,
        token_file: Path,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._token_file = token_file
        self._token = _read_token(token_file)
        self._pause = pause

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return self._endpoint

    def describe(
        self, repository: str, name: str, revision: str, *, label: str | None = None
    ) -> RemoteFile:
        """Ask the hub about a file; raises StartupError, which has what to do.

        :param label: what the file is, for errors.
        """
        url = hf_hub_url(repository, name, revision=revision, endpoint=self._endpoint)

        def ask() -> RemoteFile:
            # False, not None: without a token file, send no token from the environment either.
            found = get_hf_file_metadata(url, token=self._token or False, endpoint=self._endpoint)
            if found.commit_hash is None or found.etag is None:
                raise StartupError(
                    ExitCode.HUB_UNREACHABLE,
                    f"{self._endpoint} answers, but not like a model hub",
                    what_to_do="correct llm-stack:modelHub, or check whether a proxy or a login "
                    "page answers instead",
                )
            return RemoteFile(repository, name, found.commit_hash, found.etag, found.size)

        wanted = f"{name} at revision {revision}"
        if label is not None:
            wanted += f" ({label})"
        return self._retry(ask, repository, wanted, progress=lambda: 0)

    def download(self, remote: RemoteFile, partial: Path, report: Callable[[int], None]) -> None:
        """Complete `partial`, which may hold the first bytes already; it is kept on failure.

        :param report: receives the current size of the file, at least once per megabyte.
        """
        # The commit, not the revision: a branch may move between two attempts.
        url = hf_hub_url(
            remote.repository, remote.name, revision=remote.commit, endpoint=self._endpoint
        )

        def fetch() -> None:
            with partial.open("ab") as stream:
                # Without a known size, a partial file may already be complete: start again.
                if remote.size_bytes is None or stream.tell() > remote.size_bytes:
                    _empty(stream)
                if stream.tell() != remote.size_bytes:
                    self._append(url, stream, report)
                if remote.size_bytes not in (None, stream.tell()):
                    raise httpx2.RemoteProtocolError("the response ended too early")

        self._retry(fetch, remote.repository, remote.name, progress=lambda: _size(partial))

    def _append(self, url: str, stream: BinaryIO, report: Callable[[int], None]) -> None:
        headers = build_hf_headers(token=self._token or False)
        headers |= {"Accept-Encoding": "identity", "Range": f"bytes={stream.tell()}-"}
        # The hub redirects to its storage; the session does not send the token there.
        with get_session().stream(
            "GET", url, headers=headers, timeout=READ_TIMEOUT_SECONDS
        ) as response:
            hf_raise_for_status(response)
            if response.status_code != 206:
                _empty(stream)
            for chunk in response.iter_bytes(CHUNK_BYTES):
                stream.write(chunk)
                report(stream.tell())

    def _retry(
        self,
        action: Callable[[], Result],
        repository: str,
        wanted: str,
        *,
        progress: Callable[[], int],
    ) -> Result:
        """Repeat an action after transient errors, as long as each attempt brings new bytes."""
        failed_attempts = 0
        before = progress()
        while True:
            try:
                return action()
            except (httpx2.HTTPError, OSError) as error:
                if not _is_transient(error):
                    raise self._error(error, repository, wanted) from error
                reason = _reason(error)
            failed_attempts = failed_attempts + 1 if progress() <= before else 1
            before = progress()
            if failed_attempts >= ATTEMPTS:
                raise StartupError(
                    ExitCode.HUB_UNREACHABLE,
                    f"cannot reach {self._endpoint} in {ATTEMPTS} attempts: {reason}",
                    what_to_do="check the container's network and DNS, and the settings "
                    "llm-stack:modelHub and llm-stack:proxy (the partial download is kept, and the "
                    "next start resumes it); without a hub, run: "
                    "pulumi config set llm-stack:placeholderModel smollm2-135m",
                )
            seconds = FIRST_PAUSE_SECONDS * 2 ** (failed_attempts - 1)
            log.warning("the hub failed; trying again", reason=reason, in_seconds=seconds)
            self._pause(seconds)

    def _error(self, error: Exception, repository: str, wanted: str) -> StartupError:
        """The error for a response that another attempt would not change."""
        page = f"{self._endpoint}/{repository}"
        set_token = (
            "set a read token with `pulumi config set --secret hfToken`, which becomes "
            f"{self._token_file}"
        )
        if isinstance(error, GatedRepoError):
            whose = "with the account that the token belongs to" if self._token else "first"
            then = "" if self._token else f", then {set_token}"
            return StartupError(
                ExitCode.ACCESS_DENIED,
                f"{repository} is gated, and "
                + (
                    f"the token in {self._token_file} has no access"
                    if self._token
                    else f"there is no token in {self._token_file}"
                ),
                what_to_do=f"accept the model's terms at {page} {whose}{then}",
            )
        if isinstance(error, DisabledRepoError):
            return StartupError(
                ExitCode.ACCESS_DENIED,
                f"the hub has disabled {repository}",
                what_to_do=f"read the reason at {page}, and choose another model",
            )
        if isinstance(error, RevisionNotFoundError | RemoteEntryNotFoundError):
            return StartupError(
                ExitCode.NOT_ON_HUB,
                f"{repository} does not have {wanted}",
                what_to_do=f"compare file and revision in services.yaml with {page}/tree/main",
            )
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
        if isinstance(error, RepositoryNotFoundError):
            return self._missing_repository(repository, page, set_token, status)
        if status in (401, 403):
            found = "has no valid token" if status == 401 else "has a token without permission"
            return StartupError(
                ExitCode.ACCESS_DENIED,
                f"the hub denies access to {repository}: {self._token_file} "
                + (found if self._token else "is missing"),
                what_to_do=f"{set_token}, and check at {page} that its account can read the model",
            )
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StartupError(
                ExitCode.NO_SPACE,
                f"the disk is full; {wanted} is incomplete",
                what_to_do="free some space; the next start resumes the download",
            )
        if isinstance(error, OSError) and error.errno is not None:
            return StartupError(
                ExitCode.MODELS_DIR_UNUSABLE,
                f"{wanted} cannot be written: {error}",
                what_to_do="check the volume that is mounted as the models directory",
            )
        if NOT_TRUSTED in _reason(error):
            return StartupError(
                ExitCode.HUB_UNREACHABLE,
                f"the certificate of {self._endpoint} is not trusted: {_reason(error)}",
                what_to_do="if a company's proxy or mirror answers, set llm-stack:caFile to the "
                "PEM file of the company's authority; otherwise correct llm-stack:modelHub",
            )
        return StartupError(
            ExitCode.HUB_UNREACHABLE,
            f"unexpected response about {repository}: {_reason(error)}",
            what_to_do=f"open {page} in a browser, and correct llm-stack:modelHub if necessary",
        )

    def _missing_repository(
        self, repository: str, page: str, set_token: str, status: int | None
    ) -> StartupError:
        # Without a token the hub answers 401 both for private and for missing repositories.
        if status == 401 and not self._token:
            return StartupError(
                ExitCode.ACCESS_DENIED,
                f"{repository} is private, gated or does not exist: "
                f"there is no token in {self._token_file}",
                what_to_do=f"check the name at {page}; for a private model, {set_token}",
            )
        return StartupError(
            ExitCode.NOT_ON_HUB,
            f"the hub does not have the repository {repository}",
            what_to_do=f"compare repository in services.yaml with {page}"
            + ("; a private one needs a token with access to it" if self._token else ""),
        )


def _is_transient(error: Exception) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in TRANSIENT_STATUS
    return isinstance(error, httpx2.TransportError) and NOT_TRUSTED not in _reason(error)


def _reason(error: Exception) -> str:
    """The first line of the root cause, which has the network's error message."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _read_token(file: Path) -> str | None:
    try:
        return file.read_text().strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartupError(
            ExitCode.ACCESS_DENIED,
            f"{file} cannot be read: {error.strerror}",
            what_to_do="make the secret file readable for uid 10001 (mode 0444)",
        ) from error


def _empty(stream: BinaryIO) -> None:
    stream.seek(0)
    stream.truncate()


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
