"""Check of a public address from outside: name, answer, certificate, and sign-in."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.monitor.checks.http_client import HttpClient, HttpResponse, NoResponse
from app.monitor.decisions.states import State, Verdict
from app.monitor.settings import PublicAddress, Service

DAY = 86_400.0
REDIRECTS = (301, 302, 303, 307, 308)
REFUSALS = (401, 403)
SIGN_IN_HOSTS = ".cloudflareaccess.com"
"""Where Cloudflare Access sends a request without a session."""


class PublicCheck:
    """Requests public addresses as anyone does: without a session and without a key.

    :param outside: client for hosts outside of the stack's network.
    :param inside: client for the connectors, which report the names of quick tunnels.
    """

    def __init__(self, outside: HttpClient, inside: HttpClient, timeout: float) -> None:
        self._outside = outside
        self._inside = inside
        self._timeout = timeout

    async def check(self, service: Service, now: float) -> Verdict:
        """Check an address once; raises NoResponse."""
        address = service.public or PublicAddress()
        url = service.base_url
        if address.quick:
            host = await self._quick_host(service)
            if host is None:
                reason = "its tunnel has no address yet"
                return Verdict(State.DOWN, "no_address", reason, excusable=True)
            url = f"https://{host}{address.path}"
        response = await self._outside.get(url, self._timeout)
        return judge_answer(response, address) or judge_certificate(response, address, now)

    async def _quick_host(self, service: Service) -> str | None:
        try:
            response = await self._inside.get(f"{service.base_url}/quicktunnel", self._timeout / 2)
        except NoResponse:
            return None
        host = response.member("hostname")
        return host if isinstance(host, str) and host else None


def judge_answer(response: HttpResponse, address: PublicAddress) -> Verdict | None:
    """The verdict on an answer that is not as it must be; None if it is."""
    status, seconds = response.status, response.seconds
    if status >= 500:
        # Of Cloudflare: 502 and 530 mean that the service or its connector is not reached.
        reason = f"HTTP {status} at its public address"
        return Verdict(State.DOWN, f"http_{status}", reason, seconds, excusable=True)
    if address.sign_in:
        if status in REFUSALS or _leads_to_sign_in(response):
            return None
        reason = f"open to everyone: HTTP {status} without the sign-in of Cloudflare Access"
        return Verdict(State.DOWN, "no_sign_in", reason, seconds)
    if status >= 400:
        reason = f"HTTP {status} at its public address"
        return Verdict(State.DOWN, f"http_{status}", reason, seconds)
    return None


def judge_certificate(response: HttpResponse, address: PublicAddress, now: float) -> Verdict:
    """The verdict on the certificate; the TLS client has checked its name and its issuer."""
    seconds = response.seconds
    if response.certificate_ends is None:
        return Verdict(State.DOWN, "certificate", "it has no certificate", seconds)
    days = (response.certificate_ends - now) / DAY
    if days < address.certificate_days:
        reason = (
            f"its certificate ends in {days:.1f} days, less than {address.certificate_days} days"
        )
        return Verdict(State.DOWN, "certificate", reason, seconds)
    asks = "asks for a sign-in" if address.sign_in else f"HTTP {response.status}"
    return Verdict(State.OK, "ok", asks, seconds)


def _leads_to_sign_in(response: HttpResponse) -> bool:
    target = urlsplit(response.location)
    host = target.hostname or ""
    return (
        response.status in REDIRECTS and target.scheme == "https" and host.endswith(SIGN_IN_HOSTS)
    )
