"""The Prometheus side: what is known of the services, read out at each scrape.

Nothing is counted twice: the values are those of the watch, so a scrape costs what it shows.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from app.monitor.alerting.alerts import Alerter
from app.monitor.decisions.decisions import can_serve
from app.monitor.decisions.states import State
from app.monitor.decisions.watch import Watch

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class WatchCollector(Collector):
    """Reads the watch and the alerter."""

    def __init__(self, watch: Watch, alerter: Alerter) -> None:
        self._watch = watch
        self._alerter = alerter

    def collect(self) -> Iterable[Metric]:
        """All metrics of the monitor."""
        yield from self._services()
        yield from self._restarts()
        yield from self._self()

    def _services(self) -> Iterable[Metric]:
        labels = ["service", "kind"]
        up = GaugeMetricFamily("monitor_probe_up", "Whether requests are answered.", labels=labels)
        latency = GaugeMetricFamily(
            "monitor_probe_latency_seconds", "Time of the last answered check.", labels=labels
        )
        state = GaugeMetricFamily(
            "monitor_service_state", "1 for the state that it is in.", labels=["service", "state"]
        )
        checks = CounterMetricFamily("monitor_checks", "Checks done.", labels=labels)
        failures = CounterMetricFamily(
            "monitor_check_failures", "Checks that found a failure.", labels=labels
        )
        flapping = GaugeMetricFamily("monitor_flapping", "Whether it flaps.", labels=["service"])
        paused = GaugeMetricFamily("monitor_paused", "Whether it is paused.", labels=["service"])
        for name, service in self._watch.services.items():
            memory, key = self._watch.memories[name], [name, service.kind.value]
            up.add_metric(key, float(can_serve(memory)))
            if memory.latency is not None:
                latency.add_metric(key, memory.latency)
            for word in State:
                state.add_metric([name, word.value], float(word is memory.state))
            tally = self._watch.tallies[name]
            checks.add_metric(key, tally.checks)
            failures.add_metric(key, tally.failures)
            flapping.add_metric([name], float(memory.flapping))
            paused.add_metric([name], float(self._watch.is_paused(service)))
        yield from (up, latency, state, checks, failures, flapping, paused)

    def _restarts(self) -> Iterable[Metric]:
        total = CounterMetricFamily("monitor_restarts", "Restarts done.", labels=["service"])
        gave_up = GaugeMetricFamily(
            "monitor_gave_up", "Whether restarts were given up.", labels=["service"]
        )
        held = GaugeMetricFamily(
            "monitor_restart_held", "Whether a wanted restart is not done.", labels=["service"]
        )
        last = GaugeMetricFamily(
            "monitor_last_restart_timestamp_seconds",
            "When it was last restarted.",
            labels=["service"],
        )
        reason = GaugeMetricFamily(
            "monitor_last_restart_reason",
            "1 for why it was last restarted.",
            labels=["service", "reason"],
        )
        for name, memory in self._watch.memories.items():
            total.add_metric([name], memory.restarts_total)
            gave_up.add_metric([name], float(memory.gave_up_at is not None))
            held.add_metric([name], float(bool(memory.held)))
            if memory.last_restart_at is not None:
                last.add_metric([name], memory.last_restart_at)
                reason.add_metric([name, memory.last_restart_code], 1.0)
        yield from (total, gave_up, held, last, reason)

    def _self(self) -> Iterable[Metric]:
        waiting = GaugeMetricFamily("monitor_alerts_waiting", "Messages not yet delivered.")
        waiting.add_metric([], self._alerter.waiting)
        sent = CounterMetricFamily(
            "monitor_alert_messages", "Attempts to deliver a message.", labels=["webhook", "result"]
        )
        for key, count in self._alerter.sent.items():
            sent.add_metric(list(key), count)
        last = GaugeMetricFamily("monitor_last_check_timestamp_seconds", "When it last checked.")
        last.add_metric([], self._watch.last_check_at)
        writable = GaugeMetricFamily("monitor_state_writable", "Whether its state can be kept.")
        writable.add_metric([], float(self._watch.state_writable))
        yield from (waiting, sent, last, writable)
        if self._watch.restarter_works is not None:
            works = GaugeMetricFamily(
                "monitor_restarter_up", "Whether the restarter answers and reaches Docker."
            )
            works.add_metric([], float(self._watch.restarter_works))
            yield works


class Exposition:
    """The text of `/metrics`."""

    def __init__(self, watch: Watch, alerter: Alerter) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(WatchCollector(watch, alerter))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def text(self) -> bytes:
        """Everything, as of now."""
        return generate_latest(self._registry)
