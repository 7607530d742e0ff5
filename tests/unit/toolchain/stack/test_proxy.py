"""The proxy of the shell as settings of a stack, and notes on what it cannot use."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from components.config.network_access import ProxySettings
from toolchain.stack.proxy import notes, shell_proxy

PROXY = "http://proxy.example.com:3128"


def test_shell_without_a_proxy_sets_nothing(tmp_path: Path) -> None:
    found = shell_proxy({"NO_PROXY": "example.com", "HTTPS_PROXY": ""})
    assert found.settings == {}
    assert found.skipped == ()
    assert notes({}, tmp_path / "none") == ()


def test_each_variable_sets_its_setting() -> None:
    found = shell_proxy(
        {
            "HTTP_PROXY": f"{PROXY}/",
            "https_proxy": "proxy.example.com:8080",
            "HTTPS_PROXY": "http://not-this-one:1",
            "NO_PROXY": "localhost,127.0.0.1, .example.com 10.0.0.0/8,,.example.com",
        }
    )
    assert found.skipped == ()
    assert found.settings == {
        "llm-stack:proxy.http": PROXY,
        "llm-stack:proxy.https": "http://proxy.example.com:8080",
        "llm-stack:proxy.noProxy[0]": ".example.com",
        "llm-stack:proxy.noProxy[1]": "10.0.0.0/8",
    }


def test_settings_are_valid_for_the_program() -> None:
    found = shell_proxy({"HTTPS_PROXY": "[fd00::1]:3128", "NO_PROXY": "*.a.test,[fd00::]/8,::1"})
    hosts = [value for path, value in found.settings.items() if "noProxy" in path]
    assert hosts == ["*.a.test", "[fd00::]/8"]
    https = found.settings["llm-stack:proxy.https"]
    assert ProxySettings.model_validate({"https": https, "noProxy": hosts}).https == https


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("http://127.0.0.1:3128", "is the container itself"),
        ("localhost:3128", "is the container itself"),
        ("http://[::1]:3128", "is the container itself"),
        ("http://me:pass-word@proxy:3128", "contains a user name or password"),
        ("me:pass-word@proxy:3128", "contains a user name or password"),
        ("socks5://proxy:1080", "it is a socks5:// proxy; set http://HOST:PORT"),
        ("https://proxy:3128", "it is a https:// proxy"),
        ("http://proxy:port", "it is not a valid address"),
        ("http://proxy:3128/path", "it has a path"),
    ],
)
def test_unusable_proxy_is_skipped_with_the_reason(value: str, reason: str) -> None:
    found = shell_proxy({"HTTPS_PROXY": value, "NO_PROXY": "example.com"})
    assert found.settings == {}
    (sentence,) = found.skipped
    assert sentence.startswith("HTTPS_PROXY is not used by builds and containers: ")
    assert reason in sentence
    assert "pass-word" not in sentence
    with pytest.raises(ValidationError):
        ProxySettings.model_validate({"https": value if "://" in value else f"http://{value}"})


def test_usable_proxy_is_kept_beside_a_skipped_one() -> None:
    found = shell_proxy({"http_proxy": "http://localhost:1", "https_proxy": PROXY})
    assert found.settings == {"llm-stack:proxy.https": PROXY}
    assert [sentence.split()[0] for sentence in found.skipped] == ["http_proxy"]


def test_notes_contain_the_setting(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"proxies": {"default": {"httpsProxy": "http://proxy:3128"}}}')
    shell, client = notes({"HTTPS_PROXY": PROXY}, config)
    assert "llm-stack:proxy" in shell
    assert client.startswith(f"{config} sets a proxy")
    assert "llm-stack:proxy" in client
    config.write_text("not JSON")
    assert notes({}, config) == ()
