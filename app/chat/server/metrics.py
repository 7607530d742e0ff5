"""Prometheus metrics of the gateway, by model and API key name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.chat.fleet.circuit_breaker import BreakerState
from app.chat.fleet.fleet import Fleet
from app.chat.fleet.server import State
from app.chat.request_record import RequestRecord

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_WAIT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_RATE_BUCKETS = (1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 250, 500, 1000)
_MOST_OUTCOMES = 100


class Metrics:
    """Counts finished requests, and reads the state of the fleet at each scrape."""

    def __init__(self, fleet: Fleet, *others: Collector) -> None:
        self._registry = registry = CollectorRegistry()
        by = ("model", "key")
        self._requests = Counter(
            "gateway_requests", "Requests by outcome", (*by, "outcome"), registry=registry
        )
        self._tokens = Counter(
            "gateway_tokens", "Tokens of prompts and completions", (*by, "kind"), registry=registry
        )
        self._retries = Counter(
            "gateway_retries", "Attempts after the first one", ("model",), registry=registry
        )
        self._seconds = Histogram(
            "gateway_request_seconds",
            "Duration of a request, including the queue",
            by,
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self._queue = Histogram(
            "gateway_queue_wait_seconds",
            "Time in the queue",
            ("model",),
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self._first_token = Histogram(
            "gateway_first_token_seconds",
            "Time to the first token, including the queue",
            ("model",),
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self._rate = Histogram(
            "gateway_tokens_per_second",
            "Speed of a response after its first token",
            ("model",),
            buckets=_RATE_BUCKETS,
            registry=registry,
        )
        self._outcomes: set[str] = set()
        # Finding a series by its labels takes longer than counting in it.
        self._series = cache(lambda metric, *labels: metric.labels(*labels))
        for collector in (_FleetState(fleet), *others):
            registry.register(collector)

    def finished(self, record: RequestRecord) -> None:
        model, key = record.model or "none", record.key_label
        series = self._series
        series(self._requests, model, key, self._outcome(record)).inc()
        series(self._seconds, model, key).observe(record.age)
        for kind, number in (
            ("prompt", record.prompt_tokens),
            ("completion", record.completion_tokens),
        ):
            if number:
                series(self._tokens, model, key, kind).inc(number)
        if record.attempts > 1:
            series(self._retries, model).inc(record.attempts - 1)
        for histogram, value in (
            (self._queue, record.queue_seconds),
            (self._first_token, record.first_token_seconds),
            (self._rate, record.tokens_per_second),
        ):
            if value is not None:
                series(histogram, model).observe(value)

    def _outcome(self, record: RequestRecord) -> str:
        """The outcome as a label: a model server can invent codes without end."""
        outcome = record.outcome or "unknown"
        if len(self._outcomes) < _MOST_OUTCOMES:
            self._outcomes.add(outcome)
        return outcome if outcome in self._outcomes else "other"

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _FleetState(Collector):
    """Gauges that are read from the pools at each scrape."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        by_model, by_replica = ("model",), ("model", "replica")
        queue = GaugeMetricFamily("gateway_queue_length", "Requests in the queue", labels=by_model)
        running = GaugeMetricFamily("gateway_in_flight", "Requests in progress", labels=by_replica)
        slots = GaugeMetricFamily(
            "gateway_slots", "Parallel requests of the replica", labels=by_replica
        )
        ready = GaugeMetricFamily(
            "gateway_replica_ready", "1 if the replica answers requests", labels=by_replica
        )
        loaded = GaugeMetricFamily(
            "gateway_replica_loaded", "1 if the replica's model is in memory", labels=by_replica
        )
        breaker = GaugeMetricFamily(
            "gateway_breaker_open", "1 open, 0.5 half open, 0 closed", labels=by_replica
        )
        levels = {BreakerState.OPEN: 1.0, BreakerState.HALF_OPEN: 0.5, BreakerState.CLOSED: 0.0}
        for pool in self._fleet:
            queue.add_metric([pool.card.id], len(pool.queue))
            for replica in pool.replicas:
                labels = [pool.card.id, replica.name]
                running.add_metric(labels, replica.in_flight)
                slots.add_metric(labels, replica.slots)
                health = replica.effective_health
                ready.add_metric(labels, float(health.answers))
                loaded.add_metric(labels, float(health.state is State.READY))
                breaker.add_metric(labels, levels[replica.breaker.state])
        yield from (queue, running, slots, ready, loaded, breaker)
