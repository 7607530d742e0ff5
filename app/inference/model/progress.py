"""What a person sees while a model is being fetched: percent, speed and time left."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.shared.json_log import Log

log = Log(__name__)


REPORT_SECONDS = 5.0


@dataclass(frozen=True)
class Pace:
    """How far a download has come. Sizes in bytes; what depends on an unknown total is None."""

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
    """Turns the byte counts of a download into a log line every few seconds."""

    def __init__(
        self,
        total: int | None,
        tell: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._tell = tell
        self._clock = clock
        self._reported_at: float | None = None
        self._reported_size = 0

    def __call__(self, received: int) -> None:
        """Takes the size of the file so far; the first call only marks where this start begins."""
        now = self._clock()
        if self._reported_at is None:
            self._reported_at, self._reported_size = now, received
            return
        seconds = now - self._reported_at
        if seconds < REPORT_SECONDS:
            return
        # A server that ignores the wish to resume makes the file shrink once.
        fetched = max(0, received - self._reported_size)
        self._reported_at, self._reported_size = now, received
        pace = Pace(received, self._total, fetched / seconds)
        self._tell(f"fetching the model: {pace}")
        log.info(
            "fetching the model",
            percent=pace.percent,
            mb_per_second=round(pace.bytes_per_second / 1e6, 1),
            seconds_left=pace.seconds_left,
            received_bytes=pace.received,
            total_bytes=pace.total,
        )
