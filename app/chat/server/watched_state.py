"""Prometheus metrics of the files that are read while the gateway runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.shared.watched_file import Watched


class WatchedState(Collector):
    """Whether each file is valid, and since when its content is in use."""

    def __init__(self, files: Sequence[Watched[Any]]) -> None:
        self._files = files

    def collect(self) -> Iterable[Metric]:
        """The gauges at present."""
        valid = GaugeMetricFamily(
            "gateway_file_valid",
            "1 if the file's present content is in use; 0 while an earlier one is",
            labels=("file",),
        )
        applied = GaugeMetricFamily(
            "gateway_file_applied_timestamp_seconds",
            "When the content in use was read",
            labels=("file",),
        )
        for file in self._files:
            valid.add_metric([file.name], float(file.problem is None))
            applied.add_metric([file.name], file.applied_at)
        yield from (valid, applied)
