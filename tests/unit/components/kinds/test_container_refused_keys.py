"""Keys of Compose that a container does not have: each is refused with its reason."""

from __future__ import annotations

import pytest

from components.config.problems import Source
from components.config.schema import read
from components.kinds.container import ContainerService
from components.kinds.refused_keys import REFUSED_KEYS


def problem_of(key: str, value: object) -> str:
    entry = {"kind": "container", "image": "redis:7", key: value}
    found = read(ContainerService, entry, Source("services.yaml"), at=("services", "app"))
    (problem,) = map(str, found.problems)
    return problem


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        (
            "privileged",
            True,
            "is refused: a privileged container is root on the machine; allowed: devices, cap_add "
            "or group_add for what it needs",
        ),
        (
            "network_mode",
            "host",
            "is refused: a container in the machine's network can reach and open every port of "
            "it; allowed: ports, and extra_hosts with host-gateway to reach the machine",
        ),
        (
            "pid",
            "host",
            "is refused: a container among the machine's processes can read and end them; "
            "allowed: none",
        ),
        (
            "ipc",
            "host",
            "is refused: shared memory of the machine is open to all its processes; allowed: "
            "shm_size: 1g",
        ),
        (
            "container_name",
            "app",
            "is refused: a name would keep the next version from starting; allowed: aliases",
        ),
        (
            "security_opt",
            ["seccomp=unconfined"],
            "is refused: every container has no-new-privileges; allowed: none",
        ),
    ],
)
def test_a_key_of_compose_is_refused_with_its_reason(key: str, value: object, problem: str) -> None:
    assert problem_of(key, value) == f"services.yaml: services.app.{key}: {problem}"


@pytest.mark.parametrize("key", REFUSED_KEYS)
def test_every_refused_key_has_a_reason_and_is_no_key_of_a_container(key: str) -> None:
    assert key not in ContainerService.model_fields
    assert problem_of(key, "x").startswith(f"services.yaml: services.app.{key}: is refused: ")


def test_a_misspelled_key_is_refused_with_the_nearest_one() -> None:
    assert problem_of("enviroment", {}).startswith(
        "services.yaml: services.app.enviroment: unknown key; did you mean 'environment'? allowed: "
    )
