"""Prometheus metrics of the services, read from the watch at each scrape.

The watch holds the counts, so nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from app.monitor.alerting.alert_sender import AlertSender
from app.monitor.decisions.records import is_serving
from app.monitor.decisions.states import State
from app.monitor.settings import ServiceList
from app.monitor.watch import Watch
from app.shared.watched_file import Watched

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class WatchCollector(Collector):
    """Reads the watch, the alert_sender and the state of the list of services, if it is a file."""

    def __init__(
        self, watch: Watch, alert_sender: AlertSender, listed: Watched[ServiceList] | None
    ) -> None:
        self._watch = watch
        self._alert_sender = alert_sender
        self._listed = listed

    def collect(self) -> Iterable[Metric]:
        """All metrics of the monitor."""
        yield from self._services()
        yield from self._restarts()
        yield from self._self()

    def _services(self) -> Iterable[Metric]:
        labels = ["service", "kind"]
        up = GaugeMetricFamily(
            "monitor_probe_up", "Whether the service responds to requests.", labels=labels
        )
        latency = GaugeMetricFamily(
            "monitor_probe_latency_seconds", "Response time of the last check.", labels=labels
        )
        state = GaugeMetricFamily(
            "monitor_service_state", "1 for the present state.", labels=["service", "state"]
        )
        checks = CounterMetricFamily("monitor_checks", "Checks.", labels=labels)
        failures = CounterMetricFamily(
            "monitor_check_failures", "Checks that found a failure.", labels=labels
        )
        flapping = GaugeMetricFamily(
            "monitor_flapping", "Whether the service is flapping.", labels=["service"]
        )
        paused = GaugeMetricFamily(
            "monitor_paused", "Whether restarts and alerts are paused.", labels=["service"]
        )
        maintenance = GaugeMetricFamily(
            "monitor_maintenance",
            "Whether the service is in a maintenance window.",
            labels=["service"],
        )
        for name, service in self._watch.services.items():
            record, key = self._watch.records[name], [name, service.kind.value]
            up.add_metric(key, float(is_serving(record)))
            if record.latency is not None:
                latency.add_metric(key, record.latency)
            for word in State:
                state.add_metric([name, word.value], float(word is record.state))
            counts = self._watch.counts[name]
            checks.add_metric(key, counts.checks)
            failures.add_metric(key, counts.failures)
            flapping.add_metric([name], float(record.flapping))
            paused.add_metric([name], float(self._watch.is_paused(service)))
            maintained = self._watch.maintenance_until(service) is not None
            maintenance.add_metric([name], float(maintained))
        yield from (up, latency, state, checks, failures, flapping, paused, maintenance)

    def _restarts(self) -> Iterable[Metric]:
        total = CounterMetricFamily("monitor_restarts", "Restarts.", labels=["service"])
        gave_up = GaugeMetricFamily(
            "monitor_gave_up", "Whether restarts were given up.", labels=["service"]
        )
        held = GaugeMetricFamily(
            "monitor_restart_held", "Whether a needed restart is withheld.", labels=["service"]
        )
        last = GaugeMetricFamily(
            "monitor_last_restart_timestamp_seconds",
            "Time of the last restart.",
            labels=["service"],
        )
        reason = GaugeMetricFamily(
            "monitor_last_restart_reason",
            "1 for the reason of the last restart.",
            labels=["service", "reason"],
        )
        for name, record in self._watch.records.items():
            total.add_metric([name], record.restarts_total)
            gave_up.add_metric([name], float(record.gave_up_at is not None))
            held.add_metric([name], float(bool(record.held)))
            if record.last_restart_at is not None:
                last.add_metric([name], record.last_restart_at)
                reason.add_metric([name, record.last_restart_code], 1.0)
        yield from (total, gave_up, held, last, reason)

    def _self(self) -> Iterable[Metric]:
        waiting = GaugeMetricFamily("monitor_alerts_waiting", "Messages not yet delivered.")
        waiting.add_metric([], self._alert_sender.waiting)
        sent = CounterMetricFamily(
            "monitor_alert_messages",
            "Attempts to deliver an alert message.",
            labels=["webhook", "result"],
        )
        for key, count in self._alert_sender.sent.items():
            sent.add_metric(list(key), count)
        last = GaugeMetricFamily("monitor_last_check_timestamp_seconds", "Time of the last check.")
        last.add_metric([], self._watch.last_check_at)
        writable = GaugeMetricFamily(
            "monitor_state_writable", "Whether the monitor can save its state."
        )
        writable.add_metric([], float(self._watch.state_writable))
        yield from (waiting, sent, last, writable)
        if self._listed is not None:
            valid = GaugeMetricFamily(
                "monitor_service_list_valid",
                "1 if the present list of services is in use; 0 while an earlier one is.",
            )
            valid.add_metric([], float(self._listed.problem is None))
            yield valid
        if self._watch.restarter_works is not None:
            works = GaugeMetricFamily(
                "monitor_restarter_up", "Whether the restarter responds and reaches Docker."
            )
            works.add_metric([], float(self._watch.restarter_works))
            yield works


class Exposition:
    """Text of `/metrics`."""

    def __init__(
        self,
        watch: Watch,
        alert_sender: AlertSender,
        listed: Watched[ServiceList] | None = None,
    ) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(WatchCollector(watch, alert_sender, listed))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics at present."""
        return generate_latest(self._registry)
