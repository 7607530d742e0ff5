"""Which hub is asked, and which stand-in the settings name."""

from __future__ import annotations

import pytest

from toolchain import model_hub


def test_the_hub_is_the_one_that_downloads_would_use() -> None:
    assert model_hub.endpoint({}) == "https://huggingface.co"
    assert (
        model_hub.endpoint({"HF_ENDPOINT": "https://hub.example.com/"}) == "https://hub.example.com"
    )


@pytest.mark.parametrize(
    ("settings", "model"),
    [
        ("config:\n  llm-stack:standInModel: tiny\n", "tiny"),
        ('config:\n  llm-stack:standInModel: "tiny"\n', "tiny"),
        ("config:\n  # llm-stack:standInModel: tiny\n  llm-stack:services: all\n", None),
        ("", None),
    ],
)
def test_the_stand_in_of_the_settings_is_found(settings: str, model: str | None) -> None:
    assert model_hub.configured_stand_in(settings) == model
