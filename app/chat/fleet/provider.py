"""One entry of the configuration that offers models: a model of the stack, or a server."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from app.chat.fleet.endpoint import Endpoint
from app.chat.fleet.model_list import MOST_MODELS, ModelList
from app.chat.fleet.pool import ModelCard
from app.chat.fleet.server import Health, Server, State
from app.chat.settings import (
    GatewaySettings,
    ModelSettings,
    ModelTask,
    RoutedModel,
    RouterSettings,
    ServerSettings,
)
from app.shared.json_log import Log

_log = Log(__name__)

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Provider:
    """The running servers of one entry, and the names of the models that they offer.

    :param card: the public data of its models, of which each has its own name.
    :param cards: those of models with data of their own.
    :param own_slots: of models that do not share the slots of their server.
    :param models: their names; None for those that the servers list.
    :param shares: whether other providers may have replicas of its models.
    :param keep_seconds: how long models stay listed without a server that lists them.
    """

    def __init__(
        self,
        name: str,
        endpoints: Sequence[Endpoint],
        card: ModelCard,
        models: Sequence[str] | None,
        *,
        shares: bool,
        keep_seconds: float,
        clock: Callable[[], float],
        cards: Mapping[str, ModelCard] = _NOTHING,
        own_slots: Mapping[str, int] = _NOTHING,
    ) -> None:
        self.name = name
        self.identity = name
        """Of the entry, the same in the next configuration."""
        self.endpoints = endpoints
        self.servers = [endpoint.unresolved for endpoint in endpoints]
        self.discovers = models is None
        self.changed: Callable[[], None] = lambda: None
        self.own_slots = own_slots
        self._card = card
        self._cards = cards
        self._models = models
        self._shares = shares
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._last: tuple[str, ...] = ()
        self._last_listed = 0.0
        self._reported = False
        self._reviewed: object = None

    @property
    def external(self) -> bool:
        return self._card.external

    @property
    def tasks(self) -> Collection[ModelTask]:
        return self._card.tasks

    def card(self, model: str) -> ModelCard:
        """The public data of one of its models."""
        return self._cards.get(model) or replace(self._card, id=model)

    def show(self, card: ModelCard) -> None:
        """Change the public data of its only model."""
        self._card = card

    def follow(self, predecessor: Provider) -> None:
        """Take the place of the provider of an earlier configuration.

        Models that servers list stay listed until the servers are asked for their lists.
        """
        if self.discovers and predecessor.discovers:
            self._last = tuple(predecessor.offered())
            self._last_listed = self._clock()

    @property
    def answers(self) -> bool:
        """Whether at least one of its servers answers requests."""
        return any(server.health.answers for server in self.servers)

    def shares_with(self, other: Provider) -> bool:
        """Whether both may have replicas of one model."""
        return self._shares and other._shares and set(self.tasks) == set(other.tasks)

    def change(self, removed: Collection[Server], added: Sequence[Server]) -> None:
        """Remove and add servers."""
        self.servers = [server for server in self.servers if server not in removed]
        self.servers += added
        self.review()

    def review(self) -> None:
        """Call `changed` if there are other servers or models than before."""
        now = (tuple(self.offered()), [(server, server.models) for server in self.servers])
        if now != self._reviewed:
            self._reviewed = now
            self.changed()

    def list_received(self, server: Server, listed: ModelList) -> None:
        """Take a server's list of its models."""
        server.models, server.listed_at = listed.models, self._clock()
        if listed.ignored and not self._reported:
            self._reported = True
            _log.warning(
                "a server lists models that are ignored: repeated, with invalid names, or too many",
                server=self.name,
                ignored=listed.ignored,
                most=MOST_MODELS,
            )

    def offered(self) -> Sequence[str]:
        """The models that it has now; those of a server that is down for a while included."""
        if self._models is not None:
            return self._models
        oldest = self._clock() - self._keep_seconds
        for server in self.servers:
            if not server.health.answers and server.listed_at < oldest:
                server.models = None
        lists = [server.models for server in self.servers if server.models is not None]
        if lists:
            self._last = tuple(dict.fromkeys(name for models in lists for name in models))
            self._last_listed = max(server.listed_at for server in self.servers)
        elif self._last_listed < oldest:
            self._last = ()
        return self._last


def local_model(
    model: ModelSettings, settings: GatewaySettings, clock: Callable[[], float]
) -> Provider:
    """A model of the stack, and the llama-server replicas that run it."""

    def make_server(url: str, host: str | None) -> Server:
        return Server(
            api_url=f"{url}/v1",
            health_url=f"{url}/health",
            props_url=f"{url}/props",
            sleeps=model.sleeps,
            status_url=_status_url(url, model.status_port),
            slots=model.slots,
            host=host,
        )

    return Provider(
        model.id,
        [Endpoint(url, make_server) for url in model.replicas],
        model_card(model),
        (model.id,),
        shares=False,
        keep_seconds=settings.health.keep_models,
        clock=clock,
    )


def model_card(model: ModelSettings | RoutedModel) -> ModelCard:
    """The public data of a model of the stack."""
    return ModelCard(
        id=model.id,
        description=model.description,
        context=model.context,
        placeholder=model.placeholder,
        external=False,
        tasks=model.tasks,
    )


def routed_models(
    router: RouterSettings, settings: GatewaySettings, clock: Callable[[], float]
) -> Provider:
    """The models of a llama-server in router mode."""

    def make_server(url: str, host: str | None) -> Server:
        return Server(
            api_url=f"{url}/v1",
            health_url=f"{url}/v1/models",
            props_url=f"{url}/props",
            status_url=_status_url(url, router.status_port),
            most_loaded=router.max_loaded,
            slots=sum(model.slots for model in router.models),
            host=host,
        )

    cards = {model.id: model_card(model) for model in router.models}
    return Provider(
        router.name,
        [Endpoint(url, make_server) for url in router.urls],
        next(iter(cards.values())),
        [*cards],
        shares=False,
        keep_seconds=settings.health.keep_models,
        clock=clock,
        cards=cards,
        own_slots={model.id: model.slots for model in router.models},
    )


def served_models(
    server: ServerSettings,
    settings: GatewaySettings,
    token: str | None,
    clock: Callable[[], float],
) -> Provider:
    """The models of a server with an OpenAI-compatible API."""
    path = server.path.rstrip("/")
    discovers = server.models is None
    # A service elsewhere may count each request: without a path for it, there is no health check.
    health_path = server.health or (None if discovers or server.external else f"{path}/models")

    def make_server(url: str, host: str | None) -> Server:
        one = Server(
            api_url=url + path,
            health_url=url + health_path if health_path else None,
            slots=server.concurrency,
            token=token,
            discovers=discovers,
            external=server.external,
            host=host,
        )
        if not one.is_checked:
            one.health = Health(State.READY)
        return one

    card = ModelCard(
        id=server.name,
        description=_description(server),
        context=None,
        placeholder=None,
        external=server.external,
        tasks=server.tasks,
        owner=server.name,
    )
    return Provider(
        server.name,
        [Endpoint(url, make_server, external=server.external) for url in server.urls],
        card,
        server.models,
        shares=not discovers and not server.external,
        keep_seconds=settings.health.keep_models,
        clock=clock,
    )


def _status_url(url: str, port: int | None) -> str | None:
    host_name = urlsplit(url).hostname or ""
    at = f"[{host_name}]" if ":" in host_name else host_name
    return f"http://{at}:{port}/" if port else None


def _description(server: ServerSettings) -> str:
    if not server.external:
        return server.description
    return f"{server.description or server.name}: the conversation leaves this machine"
