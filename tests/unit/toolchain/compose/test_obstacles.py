"""Keys that cannot be carried, and those without a use."""

from __future__ import annotations

import pytest

from tests.unit.toolchain.compose.conftest import Importing, changed, outcome


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("privileged: true", "privileged: it gives the container control of the machine"),
        ("network_mode: host", "network_mode: host"),
        ("network_mode: 'service:vpn'", "network_mode: service:vpn: each service has its own"),
        ("pid: host", "pid: host"),
    ],
)
def test_what_opens_the_machine_keeps_a_service_out(
    compose: Importing, keys: str, reason: str
) -> None:
    done = compose(f"services: {{app: {{image: 'a:1', {keys}}}, web: {{image: 'b:1'}}}}")
    assert set(done.content()["services"]) == {"web"}
    assert reason in changed(outcome(done, "app"))


@pytest.mark.parametrize(
    "keys",
    [
        "logging: {driver: json-file}",
        "pull_policy: always",
        "tty: true",
        "stdin_open: true",
        "platform: linux/amd64",
        "cpuset: 0-3",
        "dns: [1.1.1.1]",
        "sysctls: {a: 1}",
        "links: [web]",
        "x-own: 5",
        "scale: 2",
        "pids_limit: 5",
    ],
)
def test_each_key_that_is_left_out_has_its_reason(compose: Importing, keys: str) -> None:
    one = outcome(
        compose(f"services: {{app: {{image: 'a:1', {keys}}}, web: {{image: 'b:1'}}}}"), "app"
    )
    assert one.written
    key = keys.partition(":")[0]
    assert f"{key}: left out: " in changed(one)
    assert key not in one.entry


def test_keys_of_no_use_are_reported_by_name(compose: Importing) -> None:
    one = outcome(
        compose("services: {app: {image: 'a:1', comand: x, security_opt: ['seccomp:no']}}"), "app"
    )
    assert "comand: the catalogue has no such key" in changed(one)
    assert "security_opt: seccomp:no" in changed(one)


def test_no_new_privileges_is_the_rule_here(compose: Importing) -> None:
    one = outcome(
        compose("services: {app: {image: 'a:1', security_opt: ['no-new-privileges:true']}}"), "app"
    )
    assert not one.losses
