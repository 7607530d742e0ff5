"""Checks a service in the way of its kind: HTTP, TCP, chat, model, connector or public address."""

from __future__ import annotations

from dataclasses import replace

from app.monitor.checks.http_client import HttpClient, HttpResponse, NoResponse
from app.monitor.checks.inference_check import InferenceCheck
from app.monitor.checks.public_check import PublicCheck
from app.monitor.checks.response_verdict import detail, judge_response
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import CHECK_TIMEOUT, Expectation, Kind, Service, Thresholds

WARNING_LENGTH = 120

# What a server answers without its work loop.
_HEALTH_PATHS = {
    Kind.INFERENCE: "/health",
    Kind.CHAT: "/health",
    Kind.CONNECTOR: "/ready",
    Kind.HTTP: "",
}


class Prober:
    """Checks services, each request within `timeout` seconds.

    :param outside: client for public addresses.
    """

    def __init__(
        self,
        http_client: HttpClient,
        thresholds: Thresholds,
        timeout: float = CHECK_TIMEOUT,
        *,
        outside: HttpClient | None = None,
    ) -> None:
        self._http_client = http_client
        self._timeout = timeout
        self._inference = InferenceCheck(http_client, thresholds, timeout)
        self._public = PublicCheck(outside or http_client, http_client, timeout)
        self._silent: set[str] = set()
        """Services whose last check had no response in time."""

    async def check(self, service: Service, now: float) -> Verdict:
        """Check a service once. Raises nothing because of the service."""
        try:
            if service.name in self._silent:
                await self._require_response(service)
            verdict = await self._check(service, now)
        except NoResponse as error:
            if error.code == "refused":
                # No process listens, so the next one has nothing to do with the slots of the last.
                self.reset(service)
            if error.code == "timeout":
                self._silent.add(service.name)
            return Verdict(State.DOWN, error.code, str(error), unreachable=error.unreachable)
        self._silent.discard(service.name)
        return verdict

    async def _require_response(self, service: Service) -> None:
        """Raise NoResponse after half of the time: a server that hangs is confirmed sooner."""
        path = _HEALTH_PATHS.get(service.kind)
        if path is not None:
            await self._http_client.get(f"{service.base_url}{path}", self._timeout / 2)

    async def _check(self, service: Service, now: float) -> Verdict:
        match service.kind:
            case Kind.INFERENCE:
                return await self._inference.check(service, now)
            case Kind.CHAT:
                return await self._chat(service)
            case Kind.CONNECTOR:
                return await self._connector(service)
            case Kind.PUBLIC:
                return await self._public.check(service, now)
            case Kind.TCP:
                return await self._tcp(service)
            case Kind.HTTP:
                response = await self._get(service.base_url)
                return judge_response(response, service.expect)

    def reset(self, service: Service) -> None:
        """Drop what earlier checks found: another process runs now."""
        self._inference.reset(service)
        self._silent.discard(service.name)

    async def _get(self, url: str) -> HttpResponse:
        return await self._http_client.get(url, self._timeout)

    async def _chat(self, service: Service) -> Verdict:
        """`/health` reports whether the gateway itself works, `/ready` whether a model does."""
        alive = judge_response(await self._get(f"{service.base_url}/health"), service.expect)
        if alive.state not in (State.OK, State.DEGRADED):
            return replace(alive, excusable=False)
        ready = await self._get(f"{service.base_url}/ready")
        verdict = judge_response(ready, Expectation())
        if verdict.state is State.DOWN:
            reason = f"not ready: {detail(ready)}"
            return Verdict(State.DOWN, "not_ready", reason, alive.latency, excusable=True)
        if verdict.state is State.OK and (warning := ready.member("warning")):
            reason = str(warning)[:WARNING_LENGTH]
            return Verdict(State.DEGRADED, "warning", reason, alive.latency)
        return alive if verdict.state is State.OK else verdict

    async def _tcp(self, service: Service) -> Verdict:
        """Only whether the port accepts connections."""
        host, port = service.url.host or "", service.url.port or 0
        seconds = await self._http_client.connect(host, port, self._timeout)
        return Verdict(State.OK, "ok", "accepts connections", seconds)

    async def _connector(self, service: Service) -> Verdict:
        """cloudflared's `/ready`: 200 with the number of edge connections, or 503."""
        response = await self._get(f"{service.base_url}/ready")
        connections = response.member("readyConnections")
        if response.status == 200:
            reason = f"{connections} connections to the edge"
            return Verdict(State.OK, "ok", reason, response.seconds)
        if connections == 0:
            reason = "no connection to the edge"
            return Verdict(State.DOWN, "no_edge", reason, response.seconds)
        return judge_response(response, Expectation())
