"""Check of llama-server in router mode, which has only some of its models in memory.

Source: llama.cpp's tools/server (server-models.cpp), b11312. `/v1/models` lists each model with
`status.value` (unloaded, loading, loaded, sleeping) and `status.failed`; `?autoload=false` asks a
model only if it is loaded. `/metrics` passes through the work loop of a model, and leaves its idle
time as it is, unlike `/slots`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from app.monitor.checks.http_client import HttpClient, HttpResponse, NoResponse
from app.monitor.checks.response_verdict import judge_response
from app.monitor.checks.token_progress import TokenProgress, judge_progress, sample_from_metrics
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import Service, Thresholds

# The first of these that a model has is the verdict on the service.
_WORST_FIRST = (State.STALLED, State.BUSY)


class RouterCheck:
    """Checks routers, and keeps for each model how its work advanced.

    There is no test request: it would load a model in place of another one.
    """

    def __init__(self, http_client: HttpClient, thresholds: Thresholds, timeout: float) -> None:
        self._http_client = http_client
        self._thresholds = thresholds
        self._timeout = timeout
        self._progress: dict[str, dict[str, TokenProgress]] = {}
        self._loading_since: dict[str, dict[str, float]] = {}

    def reset(self, service: Service) -> None:
        """Drop what earlier checks found: another process runs now."""
        self._progress.pop(service.name, None)
        self._loading_since.pop(service.name, None)

    async def check(self, service: Service, now: float) -> Verdict:
        """Check a router once; raises NoResponse."""
        response = await self._http_client.get(f"{service.base_url}/v1/models", self._timeout / 2)
        alive = judge_response(response, service.expect)
        if alive.state not in (State.OK, State.DEGRADED):
            self.reset(service)
            return alive
        models = _models(response)
        if models is None:
            reason = "its list of models does not have llama-server's form"
            return Verdict(State.DOWN, "body", reason, alive.latency)
        found = await self._judge_models(service, models, now)
        for state in _WORST_FIRST:
            for verdict in found:
                if verdict.state is state:
                    return replace(verdict, latency=alive.latency)
        if failed := [name for name, status in models.items() if status.get("failed")]:
            reason = f"the last load of {', '.join(failed)} failed"
            return Verdict(State.DEGRADED, "load_failed", reason, alive.latency)
        if alive.state is State.DEGRADED:
            return alive
        loaded = sum(status.get("value") == "loaded" for status in models.values())
        reason = f"{loaded} of {len(models)} models loaded"
        return Verdict(State.OK, "ok", reason, alive.latency)

    async def _judge_models(
        self, service: Service, models: Mapping[str, Mapping[str, Any]], now: float
    ) -> list[Verdict]:
        """The verdicts on the models that are in memory or being loaded."""
        before = self._progress.get(service.name, {})
        loading_before = self._loading_since.get(service.name, {})
        after, loading, verdicts = {}, {}, []
        for name, status in models.items():
            if status.get("value") == "loading":
                loading[name] = loading_before.get(name, now)
                verdicts.append(_judge_load(name, now - loading[name], service.start_grace))
            elif status.get("value") == "loaded":
                sample = sample_from_metrics(await self._metrics(service, name))
                after[name], verdict = judge_progress(
                    before.get(name, TokenProgress()), sample, now, self._thresholds.stall_after
                )
                verdicts.append(replace(verdict, reason=f"{name}: {verdict.reason}"))
        self._progress[service.name] = after
        self._loading_since[service.name] = loading
        return verdicts

    async def _metrics(self, service: Service, model: str) -> HttpResponse | None:
        url = f"{service.base_url}/metrics?model={quote(model, safe='')}&autoload=false"
        try:
            return await self._http_client.get(url, self._timeout / 2)
        except NoResponse:
            return None


def _judge_load(name: str, seconds: float, longest: float) -> Verdict:
    if seconds > longest:
        return Verdict(State.STALLED, "no_progress", f"has loaded {name} for {seconds:.0f} s")
    return Verdict(State.BUSY, "busy", f"loads {name} for a request")


def _models(response: HttpResponse) -> Mapping[str, Mapping[str, Any]] | None:
    """The status of each model that the router lists; None if it lists none in its form."""
    entries = response.member("data")
    if not isinstance(entries, list):
        return None
    found = {
        entry["id"]: entry["status"]
        for entry in entries
        if isinstance(entry, dict)
        and isinstance(entry.get("id"), str)
        and isinstance(entry.get("status"), dict)
    }
    return found or None
