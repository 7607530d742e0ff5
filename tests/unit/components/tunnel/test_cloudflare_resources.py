"""The declarations of Cloudflare's resources register what the SDK's own classes register."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.tunnel import cloudflare_resources

KINDS = [
    name
    for name, member in vars(cloudflare_resources).items()
    if not name.startswith("_")
    and getattr(member, "__module__", None) == cloudflare_resources.__name__
]


def registration(module: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """The type, the properties' names, and the options with which a class registers."""
    seen: list[tuple[Any, ...]] = []

    def register(_: Any, type_: str, __: str, properties: Any, opts: Any, *rest: Any) -> None:
        aliases = [alias.type_ for alias in opts.aliases]
        secrets = {_camel_case(name) for name in opts.additional_secret_outputs or ()}
        given = {"version": opts.version, "aliases": aliases, "secrets": secrets}
        names = properties if isinstance(properties, dict) else vars(properties)
        seen.append((type_, {*names}, given))

    monkeypatch.setattr(pulumi.CustomResource, "__init__", register)
    # With a URN, the SDK requires no properties.
    getattr(module, kind)("name", opts=pulumi.ResourceOptions(urn="urn:pulumi:of-a-test"))
    (registered,) = seen
    return registered


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


@pytest.mark.parametrize("kind", KINDS)
def test_it_registers_as_the_class_of_the_sdk(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Imported here, since that takes seconds.
    import pulumi_cloudflare as sdk

    type_, outputs, options = registration(cloudflare_resources, kind, monkeypatch)
    sdks_type, sdks_properties, sdks_options = registration(sdk, kind, monkeypatch)
    assert (type_, options) == (sdks_type, sdks_options)
    assert outputs <= sdks_properties
    ours = getattr(cloudflare_resources, kind)
    translates = ours.__new__(ours)
    for name, member in vars(getattr(sdk, kind)).items():
        if isinstance(member, property) and member.fget is not None:
            wire_name = getattr(member.fget, "_pulumi_name", name)
            assert translates.translate_input_property(name) == wire_name
            assert translates.translate_output_property(wire_name) == name
