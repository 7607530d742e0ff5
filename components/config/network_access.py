"""How builds and containers reach the internet: model hub, proxy, a company's own authority."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from components.config.schema import CamelModel, refusal

# Predefined arguments of every build, which Docker keeps out of its cache and the image's
# history. Programs differ in which case they read.
PROXY_VARIABLES = tuple(
    name for upper in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") for name in (upper, upper.lower())
)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# The variable in which our programs read the path of further authorities, and that file's name.
EXTRA_CA_FILE = "EXTRA_CA_FILE"
AUTHORITIES_FILE = "company-ca.pem"
# The secret under which Dockerfiles mount the bundle, and where it is written for BuildKit.
BUNDLE_SECRET = "ca_bundle"
BUNDLES = Path(".state") / "certificates"
# BuildKit and Swarm take files of 500 KB at most, and the public roots need half of that.
MOST_PEM_BYTES = 200_000

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_DIRECT_HOST = re.compile(r"[A-Za-z0-9.:*/_\[\]-]+")
_OPEN_TO_ALL = "which everyone who may run `docker inspect` can read"


def _split(value: str, schemes: Iterable[str], allowed: str) -> SplitResult:
    """The parts of an address; raises for one that is none, or leads to the container itself."""
    try:
        parts = urlsplit(value)
        valid = parts.scheme in schemes and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or re.search(r"\s", value) or parts.query or parts.fragment:
        raise refusal("is not a valid URL for this", allowed=allowed)
    if is_loopback(parts.hostname or ""):
        raise refusal(
            "is a loopback address, which is the container itself in containers and builds",
            allowed=f"{allowed}, with a name or address of the machine that others reach it by",
        )
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host is the machine, or the container, that connects to it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _check_proxy(value: str) -> str:
    allowed = "http://HOST:PORT"
    parts = _split(value, ("http",), allowed)
    if parts.username is not None or parts.password is not None:
        raise refusal(
            f"holds a user name or password, {_OPEN_TO_ALL}",
            allowed=f"{allowed} of a proxy that needs no sign-in",
            hide=True,
        )
    if parts.path not in ("", "/"):
        raise refusal("has a path", allowed=allowed)
    return value.rstrip("/")


def _check_model_hub(value: str) -> str:
    parts = _split(value, ("http", "https"), "https://HOST or http://HOST")
    if parts.username is not None or parts.password is not None:
        raise refusal(
            f"holds a user name or password, {_OPEN_TO_ALL}",
            allowed="the URL alone",
            run="pulumi config set --secret hfToken",
            hide=True,
        )
    return value.rstrip("/")


def _check_direct_host(value: str) -> str:
    if not _DIRECT_HOST.fullmatch(value):
        raise refusal(
            "is not a host, a domain or a network",
            allowed="git.example.com, .example.com or 10.0.0.0/8, one in each entry",
        )
    return value


ModelHub = Annotated[str, AfterValidator(_check_model_hub)]
# Not https://: the HTTP client of the chat and the monitor ignores such a proxy and goes past it.
ProxyUrl = Annotated[str, AfterValidator(_check_proxy)]
DirectHost = Annotated[str, AfterValidator(_check_direct_host)]


class ProxySettings(CamelModel):
    """The proxy by which builds and containers reach what is outside of the stack."""

    http: ProxyUrl | None = Field(default=None, description="for requests to http:// addresses")
    https: ProxyUrl | None = Field(default=None, description="for requests to https:// addresses")
    no_proxy: tuple[DirectHost, ...] = Field(
        default=(), description="hosts, domains and networks that are reached without it"
    )

    @model_validator(mode="after")
    def _names_a_proxy(self) -> ProxySettings:
        if self.http is None and self.https is None:
            raise refusal("does not name a proxy", allowed="http, https or both")
        return self


@dataclass(frozen=True)
class CertificateAuthorities:
    """The certificates of a PEM file, without the rest of it."""

    pem: str


def read_authorities(path: object) -> CertificateAuthorities:
    """The authorities in a PEM file; raises a `refusal` for any other file."""
    allowed = "the path of a PEM file with certificates of authorities"
    if not isinstance(path, str) or not path:
        raise refusal("is not a path", allowed=allowed)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise refusal(f"cannot be read: {error.strerror}", allowed=allowed) from None
    except UnicodeDecodeError:
        raise refusal(
            "is not text",
            allowed=allowed,
            run="openssl x509 -inform der -in FILE -out FILE.pem",
        ) from None
    if "PRIVATE KEY-----" in text:
        raise refusal(
            "holds a private key, which must stay where it was made", allowed=f"{allowed} alone"
        )
    certificates = _CERTIFICATE.findall(text)
    if not certificates:
        raise refusal("does not hold a certificate (-----BEGIN CERTIFICATE-----)", allowed=allowed)
    pem = "\n".join(certificates) + "\n"
    if len(pem) > MOST_PEM_BYTES:
        raise refusal(
            f"holds {len(pem)} bytes of certificates", allowed=f"at most {MOST_PEM_BYTES}"
        )
    store = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        store.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise refusal(
            f"holds a certificate that cannot be read: {error}", allowed=allowed
        ) from None
    if not store.cert_store_stats()["x509_ca"]:
        raise refusal(
            "holds certificates of servers only, not of an authority (CA:TRUE)", allowed=allowed
        )
    return CertificateAuthorities(pem)


CaFile = Annotated[
    CertificateAuthorities, BeforeValidator(read_authorities), WithJsonSchema({"type": "string"})
]


@dataclass(frozen=True)
class NetworkAccess:
    """What of a stack's settings its builds and containers need to reach the internet."""

    proxy: ProxySettings | None = None
    authorities: CertificateAuthorities | None = None

    def proxy_variables(self, direct: Iterable[str] = ()) -> dict[str, str]:
        """Variables for a build or a container; empty without a proxy.

        :param direct: hosts that are reached without the proxy, beside the settings' own.
        """
        if self.proxy is None:
            return {}
        hosts = dict.fromkeys([*LOOPBACK, *direct, *self.proxy.no_proxy])
        values = {
            "HTTP_PROXY": self.proxy.http,
            "HTTPS_PROXY": self.proxy.https,
            "NO_PROXY": ",".join(hosts),
        }
        return {name: value for name in PROXY_VARIABLES if (value := values[name.upper()])}

    def environment(self, direct: Iterable[str], files_directory: str) -> dict[str, str]:
        """Variables for a container of ours, which finds `files` in `files_directory`."""
        path = f"{files_directory}/{AUTHORITIES_FILE}"
        return self.proxy_variables(direct) | ({EXTRA_CA_FILE: path} if self.authorities else {})

    @property
    def files(self) -> dict[str, str]:
        """Files for a container of ours: the company's authorities, where the stack has any."""
        return {AUTHORITIES_FILE: self.authorities.pem} if self.authorities else {}


def with_proxy(own: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """A container's own variables, and the proxy's where it sets none of the same name.

    In either case of letters: a program may read the one that the container does not set.
    """
    set_here = {name.upper() for name in own}
    return {n: v for n, v in variables.items() if n.upper() not in set_here} | dict(own)


def write_bundle(authorities: CertificateAuthorities) -> Path:
    """Write the public roots and a company's own into one file for builds, and return its path.

    pip takes one file in place of its own roots, so the company's authority alone is not enough: a
    proxy may let some hosts through unopened.
    """
    # The same roots on every machine: those that the lock file pins.
    import certifi

    content = f"{Path(certifi.where()).read_text(encoding='utf-8')}\n{authorities.pem}"
    path = BUNDLES / f"{hashlib.sha256(content.encode()).hexdigest()[:12]}.pem"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(content, encoding="utf-8")
        # In one step: another run of Pulumi may read it at the same time.
        unfinished.replace(path)
    return path
