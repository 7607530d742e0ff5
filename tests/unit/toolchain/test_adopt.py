"""What of a lost stack is found again, and by which names."""

from __future__ import annotations

from toolchain.adopt import adopt

CONTAINER, VOLUME = "docker:index/container:Container", "docker:index/volume:Volume"
TUNNEL = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared"


def resource(type_: str, name: str, **more: str) -> dict[str, str]:
    return {"type": type_, "name": name, "id": "<PLACEHOLDER>", **more}


def test_things_are_found_by_the_names_that_pulumi_gave_them() -> None:
    component = {"type": "llm-stack:index:ServiceStack", "name": "chat", "component": True}
    adopted, left = adopt(
        [
            component,
            resource(CONTAINER, "chatContainer", logicalName="chat"),
            resource(CONTAINER, "chat-config-carrier"),
            resource(VOLUME, "phi-models"),
            resource(VOLUME, "gone"),
            resource(CONTAINER, "twice"),
            resource("docker:index/remoteImage:RemoteImage", "chat-build"),
        ],
        "dev",
        {
            CONTAINER: {
                "chat-0123abc": "c1",
                "chat-config-carrier-0123abc": "c2",
                "twice-0123abc": "c3",
                "twice-0123abd": "c4",
            },
            VOLUME: {"dev-phi-models": "dev-phi-models"},
        },
        {},
    )
    assert [(one.get("logicalName", one["name"]), one.get("id")) for one in adopted] == [
        ("chat", None),
        ("chat", "c1"),
        ("chat-config-carrier", "c2"),
        ("phi-models", "dev-phi-models"),
    ]
    assert left == ["gone", "twice (2 on the engine)", "chat-build"]


def test_what_no_engine_knows_can_be_given() -> None:
    adopted, left = adopt([resource(TUNNEL, "chat-tunnel")], "prod", {}, {"chat-tunnel": "a/t"})
    assert adopted[0]["id"] == "a/t"
    assert not left
