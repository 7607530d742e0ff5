"""Access to the hub through a company's proxy, and with certificates of a company's authority."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import close_session, set_client_factory
from huggingface_hub.utils._http import default_client_factory

from app.inference.failure import ExitCode, StartupError
from app.inference.model.hub import ATTEMPTS, Hub, trust_authorities
from tests.doubles.certificates import Company, company
from tests.doubles.model_hub import FakeHub
from tests.unit.inference.conftest import MODEL, MakeSettings, OpenHub, write_config
from tests.unit.inference.test_start import run

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def new_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A new client for each test: the library keeps one, with the environment of its creation."""
    for name in (
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    close_session()
    yield
    set_client_factory(default_client_factory)


@pytest.fixture
def made(tmp_path: Path) -> Company:
    return company(tmp_path)


@pytest.fixture
def tls_hub(made: Company) -> Iterator[FakeHub]:
    with FakeHub(content=MODEL, tls=made.server_context()) as serving:
        yield serving


def test_a_model_is_downloaded_through_the_proxy(
    hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", hub.endpoint)
    settings = make_settings(hub_url="http://hub.invalid")
    assert settings.obtain(open_hub(settings)).read_bytes() == MODEL
    assert "hub.invalid" in hub.proxied


def test_a_hub_in_no_proxy_is_reached_directly(
    hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    settings = make_settings()
    assert settings.obtain(open_hub(settings)).read_bytes() == MODEL
    assert hub.proxied == []


def test_the_error_for_an_unreachable_proxy_names_the_settings(
    make_settings: MakeSettings,
    open_hub: OpenHub,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    settings = make_settings(hub_url="http://hub.invalid")
    with pytest.raises(StartupError) as failed:
        settings.obtain(open_hub(settings))
    assert failed.value.code == ExitCode.HUB_UNREACHABLE
    assert "llm-stack:modelHub and llm-stack:proxy" in failed.value.what_to_do
    assert len(pauses) == ATTEMPTS - 1


def test_a_certificate_of_the_companys_authority_is_trusted_once_it_is_set(
    tls_hub: FakeHub, made: Company, tmp_path: Path, pauses: list[float]
) -> None:
    def describe() -> int | None:
        hub = Hub(tls_hub.endpoint, tmp_path / "hf_token", pause=pauses.append)
        return hub.describe(tls_hub.repository, tls_hub.name, "main").size_bytes

    with pytest.raises(StartupError) as failed:
        describe()
    assert failed.value.code == ExitCode.HUB_UNREACHABLE
    assert f"the certificate of {tls_hub.endpoint} is not trusted" in failed.value.error
    assert "llm-stack:caFile" in failed.value.what_to_do
    assert pauses == [], "a certificate error is not retried"
    trust_authorities(made.authority)
    assert describe() == len(MODEL)


def test_the_program_downloads_with_a_companys_certificate(
    tls_hub: FakeHub, made: Company, tmp_path: Path, free_port: int
) -> None:
    file = {
        "repository": tls_hub.repository,
        "file": tls_hub.name,
        "sha256": tls_hub.sha256,
    }
    ended = run(
        {
            "MODEL_CONFIG": str(write_config(tmp_path, file, hub=tls_hub.endpoint)),
            "MODELS_DIR": str(tmp_path / "models"),
            "EXTRA_CA_FILE": str(made.authority),
            "PORT": str(free_port),
        }
    )
    assert "the model is in place" in ended.stdout


def test_a_file_without_authorities_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for file in (tmp_path / "none.pem", tmp_path / "empty.pem"):
        with pytest.raises(StartupError) as failed:
            trust_authorities(file)
        assert failed.value.code == ExitCode.BAD_SETTINGS
        assert str(file) in failed.value.error
        assert "llm-stack:caFile" in failed.value.what_to_do
