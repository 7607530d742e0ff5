"""Which hub models are fetched from."""

from __future__ import annotations

import pytest

from toolchain.stack import model_hub


def test_the_hub_is_the_one_that_downloads_would_use() -> None:
    assert model_hub.endpoint({}) == "https://huggingface.co"
    assert (
        model_hub.endpoint({"HF_ENDPOINT": "https://hub.example.com/"}) == "https://hub.example.com"
    )


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:8000", True),
        ("https://hub.example.com", False),
        ("http://10.0.0.7:8000", False),
    ],
)
def test_a_hub_on_this_machine_is_recognized(url: str, here: bool) -> None:
    assert model_hub.is_on_this_machine(url) is here
