"""Prometheus metrics of the usage file."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.chat.usage.recorder import UsageRecorder


class UsageState(Collector):
    """Whether usage is written."""

    def __init__(self, usage: UsageRecorder) -> None:
        self._usage = usage

    def collect(self) -> Iterable[Metric]:
        """The gauge at present."""
        written = GaugeMetricFamily(
            "gateway_usage_written", "1 if usage is written to its file; 0 while that fails"
        )
        written.add_metric([], float(self._usage.problem is None))
        yield written
