"""The hub that models are downloaded from."""

from __future__ import annotations

import pytest

from toolchain.stack import model_hub
from toolchain.terminal.errors import SetupError


def test_hub_is_the_one_of_huggingface_hub() -> None:
    assert model_hub.endpoint({}) == "https://huggingface.co"
    assert (
        model_hub.endpoint({"HF_ENDPOINT": "https://hub.example.com/"}) == "https://hub.example.com"
    )


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:8000", True),
        ("https://hub.example.com", False),
        ("http://10.0.0.7:8000", False),
    ],
)
def test_loopback_hub_is_recognized(url: str, loopback: bool) -> None:
    assert model_hub.is_on_this_machine(url) is loopback


def test_hub_without_a_scheme_is_an_error_with_its_command() -> None:
    with pytest.raises(SetupError, match=r"export HF_ENDPOINT=https://hub\.example\.com"):
        model_hub.endpoint({"HF_ENDPOINT": "hub.example.com/"})
