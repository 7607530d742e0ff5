"""What Prometheus can learn about the gateway, per model and per name of a key."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.chat.fleet.circuit_breaker import BreakerState
from app.chat.fleet.fleet import Fleet
from app.chat.fleet.replica import State
from app.chat.middleware.request_record import RequestRecord

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_WAIT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_RATE_BUCKETS = (1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 250, 500, 1000)


class Metrics:
    """Counts finished requests, and reads the state of the fleet whenever it is asked."""

    def __init__(self, fleet: Fleet) -> None:
        self._registry = registry = CollectorRegistry()
        by = ("model", "key")
        self._requests = Counter(
            "gateway_requests", "Requests by how they ended", (*by, "outcome"), registry=registry
        )
        self._tokens = Counter(
            "gateway_tokens", "Tokens read and written", (*by, "kind"), registry=registry
        )
        self._retries = Counter(
            "gateway_retries", "Tries after the first one", ("model",), registry=registry
        )
        self._seconds = Histogram(
            "gateway_request_seconds",
            "A whole request, waiting included",
            by,
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self._queue = Histogram(
            "gateway_queue_wait_seconds",
            "Waiting for a slot",
            ("model",),
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self._first_token = Histogram(
            "gateway_first_token_seconds",
            "From the request to the first token, waiting included",
            ("model",),
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self._rate = Histogram(
            "gateway_tokens_per_second",
            "Speed of one answer after its first token",
            ("model",),
            buckets=_RATE_BUCKETS,
            registry=registry,
        )
        registry.register(_FleetState(fleet))

    def finished(self, record: RequestRecord) -> None:
        model, key = record.model or "none", record.key
        self._requests.labels(model, key, record.outcome or "unknown").inc()
        self._seconds.labels(model, key).observe(record.age)
        for kind, number in (
            ("prompt", record.prompt_tokens),
            ("completion", record.completion_tokens),
        ):
            if number:
                self._tokens.labels(model, key, kind).inc(number)
        if record.attempts > 1:
            self._retries.labels(model).inc(record.attempts - 1)
        for histogram, value in (
            (self._queue, record.queue_seconds),
            (self._first_token, record.first_token_seconds),
            (self._rate, record.tokens_per_second),
        ):
            if value is not None:
                histogram.labels(model).observe(value)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class _FleetState(Collector):
    """Gauges that need no bookkeeping: they are read from the pools at the time of the scrape."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        by_model, by_replica = ("model",), ("model", "replica")
        line = GaugeMetricFamily("gateway_queue_length", "Waiting requests", labels=by_model)
        running = GaugeMetricFamily("gateway_in_flight", "Requests in work", labels=by_replica)
        slots = GaugeMetricFamily("gateway_slots", "Requests that fit at once", labels=by_replica)
        ready = GaugeMetricFamily("gateway_replica_ready", "1 if it answers", labels=by_replica)
        breaker = GaugeMetricFamily(
            "gateway_breaker_open", "1 open, 0.5 trying again, 0 closed", labels=by_replica
        )
        levels = {BreakerState.OPEN: 1.0, BreakerState.HALF_OPEN: 0.5, BreakerState.CLOSED: 0.0}
        for pool in self._fleet:
            line.add_metric([pool.card.id], len(pool.line))
            for replica in pool.replicas:
                labels = [pool.card.id, replica.name]
                running.add_metric(labels, replica.in_flight)
                slots.add_metric(labels, replica.slots)
                ready.add_metric(labels, float(replica.trouble.state is State.READY))
                breaker.add_metric(labels, levels[replica.breaker.state])
        yield from (line, running, slots, ready, breaker)
