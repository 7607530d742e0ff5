"""Names on the network that two services of a stack cannot both have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.config.problems import Source
from components.config.stack_secrets import StackSecrets
from components.config.stack_settings import StackSettings
from components.kinds.catalogue import Catalogue
from components.kinds.container import ContainerService
from components.plan.service_problems import service_problems


def problems(aliases: Mapping[str, Sequence[str]], enabled: Sequence[str]) -> list[str]:
    """Those of a stack that enables some of the catalogue's services."""
    services = {
        name: ContainerService(image="a:1", aliases=tuple(given)) for name, given in aliases.items()
    }
    catalogue = Catalogue(
        Source("services.yaml"),
        services=services,
        names=("chat-interface",),
        more_names=tuple(services),
    )
    return [
        str(problem)
        for problem in service_problems(
            {name: services[name] for name in enabled},
            tuple(enabled),
            catalogue,
            StackSettings(services=tuple(enabled)),
            StackSecrets(),
        )
    ]


def test_an_alias_may_be_the_name_of_a_service_that_the_stack_leaves_off() -> None:
    aliases = {"postgres": [], "shop-postgres": ["postgres"]}
    assert problems(aliases, ["shop-postgres"]) == []
    assert problems(aliases, ["shop-postgres", "postgres"]) == [
        "services.yaml: services.shop-postgres.aliases.0: is the name of another service; "
        "found 'postgres'; allowed: another name"
    ]


def test_two_services_of_a_stack_do_not_share_an_alias() -> None:
    aliases = {"ollama-cpu": ["ollama"], "ollama-gpu": ["ollama", "gpu"]}
    assert problems(aliases, ["ollama-gpu"]) == []
    (found,) = problems(aliases, ["ollama-cpu", "ollama-gpu"])
    assert "services.ollama-gpu.aliases.0: is also an alias of ollama-cpu" in found
