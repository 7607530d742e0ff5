"""The providers of the configuration; an entry that stays as it is keeps its provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.chat.fleet.provider import (
    Provider,
    local_model,
    model_card,
    routed_models,
    served_models,
)
from app.chat.settings import GatewaySettings, ModelSettings, RouterSettings, ServerSettings

Entry = ModelSettings | RouterSettings | ServerSettings
# Of a model: what clients are shown. Nothing of it decides how its servers are used.
_SHOWN = ("description", "context", "placeholder")


@dataclass(frozen=True)
class _Configured:
    """An entry, the API key that its server needs, and its provider."""

    entry: Entry
    key: str | None
    provider: Provider


class Configuration:
    """Makes the providers of the configurations that the gateway has one after another."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._present: Mapping[str, _Configured] = {}

    def providers(self, settings: GatewaySettings, keys: Mapping[str, str]) -> Sequence[Provider]:
        """The providers of these settings, in their order.

        :param keys: the API keys of servers by the name of their file.
        """
        present = {}
        for identity, entry in _entries(settings):
            file = entry.api_key_file if isinstance(entry, ServerSettings) else None
            key = keys[file] if file else None
            provider = self._kept(identity, entry, key)
            if provider is None:
                provider = self._made(entry, key, settings)
                provider.identity = identity
            present[identity] = _Configured(entry, key, provider)
        self._present = present
        return [one.provider for one in present.values()]

    def _kept(self, identity: str, entry: Entry, key: str | None) -> Provider | None:
        """The provider of the entry, if its servers are used as before."""
        before = self._present.get(identity)
        if before is None or before.key != key:
            return None
        if isinstance(entry, ModelSettings) and isinstance(before.entry, ModelSettings):
            shown = {name: getattr(entry, name) for name in _SHOWN}
            if before.entry.model_copy(update=shown) == entry:
                before.provider.show(model_card(entry))
                return before.provider
        return before.provider if before.entry == entry else None

    def _made(self, entry: Entry, key: str | None, settings: GatewaySettings) -> Provider:
        if isinstance(entry, ModelSettings):
            return local_model(entry, settings, self._clock)
        if isinstance(entry, RouterSettings):
            return routed_models(entry, settings, self._clock)
        return served_models(entry, settings, key, self._clock)


def _entries(settings: GatewaySettings) -> Iterator[tuple[str, Entry]]:
    """Each entry with a name of its own: a model may have the name of a server."""
    for model in settings.models:
        yield f"model {model.id}", model
    for router in settings.routers:
        yield f"server {router.name}", router
    for server in settings.servers:
        yield f"server {server.name}", server
