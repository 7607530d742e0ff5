"""Progress of a download in the log: percent, speed and time left."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.shared.json_log import Log

log = Log(__name__)


REPORT_SECONDS = 5.0


@dataclass(frozen=True)
class DownloadState:
    """State of a download. Sizes in bytes; percent and time left are None without a total."""

    received: int
    total: int | None
    bytes_per_second: float

    @property
    def percent(self) -> float | None:
        return None if not self.total else round(100 * self.received / self.total, 1)

    @property
    def seconds_left(self) -> int | None:
        if self.total is None or self.bytes_per_second <= 0:
            return None
        return round((self.total - self.received) / self.bytes_per_second)

    def __str__(self) -> str:
        done = "" if self.percent is None else f"{self.percent} %, "
        left = "" if self.seconds_left is None else f", {self.seconds_left} s left"
        return f"{done}{self.bytes_per_second / 1e6:.1f} MB/s{left}"


class ProgressReports:
    """Logs the progress of a download every few seconds.

    :param report: receives the progress as text.
    :param what: what is downloaded, in messages.
    """

    def __init__(
        self,
        total: int | None,
        report: Callable[[str], None],
        what: str = "the model",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._report = report
        self._what = what
        self._clock = clock
        self._reported_at: float | None = None
        self._reported_size = 0

    def __call__(self, received: int) -> None:
        """Takes the current size of the file; the first call only sets the starting point."""
        now = self._clock()
        if self._reported_at is None:
            self._reported_at, self._reported_size = now, received
            return
        seconds = now - self._reported_at
        if seconds < REPORT_SECONDS:
            return
        # The file shrinks when a server ignores the Range header and the download starts again.
        fetched = max(0, received - self._reported_size)
        self._reported_at, self._reported_size = now, received
        state = DownloadState(received, self._total, fetched / seconds)
        self._report(f"fetching {self._what}: {state}")
        log.info(
            f"fetching {self._what}",
            percent=state.percent,
            mb_per_second=round(state.bytes_per_second / 1e6, 1),
            seconds_left=state.seconds_left,
            received_bytes=state.received,
            total_bytes=state.total,
        )
