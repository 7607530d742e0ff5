"""Access to the hub through a company's proxy, and with certificates of a company's authority."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import close_session, set_client_factory
from huggingface_hub.utils._http import default_client_factory

from app.inference.failure import ExitCode, StartupError
from app.inference.model.hub import ATTEMPTS, Hub, trust_authorities
from app.inference.model.model import obtain_model
from app.inference.settings import Settings, load_settings
from tests.doubles.certificates import Company, company
from tests.doubles.model_hub import FakeHub
from tests.unit.inference.conftest import MODEL, MakeSettings
from tests.unit.inference.test_start import run

OpenHub = Callable[[Settings], Callable[[], Hub]]
NOWHERE = "http://127.0.0.1:9"


def silent(message: str) -> None:
    pass


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
    settings = make_settings(HF_ENDPOINT="http://hub.invalid")
    assert obtain_model(settings, open_hub(settings), silent).read_bytes() == MODEL
    assert "hub.invalid" in hub.proxied


def test_a_hub_in_no_proxy_is_reached_directly(
    hub: FakeHub, make_settings: MakeSettings, open_hub: OpenHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    settings = make_settings()
    assert obtain_model(settings, open_hub(settings), silent).read_bytes() == MODEL
    assert hub.proxied == []


def test_the_error_for_an_unreachable_proxy_names_the_settings(
    make_settings: MakeSettings,
    open_hub: OpenHub,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    settings = make_settings(HF_ENDPOINT="http://hub.invalid")
    with pytest.raises(StartupError) as failed:
        obtain_model(settings, open_hub(settings), silent)
    assert failed.value.code == ExitCode.HUB_UNREACHABLE
    assert "llm-stack:modelHub and llm-stack:proxy" in failed.value.what_to_do
    assert len(pauses) == ATTEMPTS - 1


def test_a_certificate_of_the_companys_authority_is_trusted_once_it_is_set(
    tls_hub: FakeHub, made: Company, open_hub: OpenHub, pauses: list[float]
) -> None:
    settings = load_settings(
        {
            "MODEL_NAME": "phi",
            "MODEL_REPOSITORY": tls_hub.repository,
            "MODEL_FILE": tls_hub.name,
            "MODEL_SHA256": tls_hub.sha256,
            "HF_ENDPOINT": tls_hub.endpoint,
            "EXTRA_CA_FILE": str(made.authority),
        }
    )

    def describe() -> int | None:
        return open_hub(settings)().describe(tls_hub.repository, tls_hub.name, "main").size_bytes

    with pytest.raises(StartupError) as failed:
        describe()
    assert failed.value.code == ExitCode.HUB_UNREACHABLE
    assert f"the certificate of {tls_hub.endpoint} is not trusted" in failed.value.error
    assert "llm-stack:caFile" in failed.value.what_to_do
    assert pauses == [], "a certificate error is not retried"
    assert settings.extra_ca_file is not None
    trust_authorities(settings.extra_ca_file)
    assert describe() == len(MODEL)


def test_the_program_downloads_with_a_companys_certificate(
    tls_hub: FakeHub, made: Company, tmp_path: Path, free_port: int
) -> None:
    ended = run(
        {
            "MODEL_NAME": "phi",
            "MODEL_REPOSITORY": tls_hub.repository,
            "MODEL_FILE": tls_hub.name,
            "MODEL_SHA256": tls_hub.sha256,
            "MODELS_DIR": str(tmp_path / "models"),
            "HF_ENDPOINT": tls_hub.endpoint,
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
