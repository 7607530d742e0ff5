"""The model lists: read again while the gateway runs, together with the API keys of servers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.chat.settings import (
    API_KEYS,
    DEFAULT_SECRETS,
    ModelLists,
    upstream_keys,
)
from app.shared.settings_file import parse_settings
from app.shared.watched_file import READ_EVERY, Contents, Watched, content_at, contents_of


@dataclass(frozen=True)
class ListedModels:
    """What models.json lists, and the keys that its servers need."""

    lists: ModelLists
    upstream_keys: Mapping[str, str] = field(default_factory=dict, repr=False)


def watched_lists(
    location: str, environ: Mapping[str, str] = os.environ, seconds: float = READ_EVERY
) -> Watched[ListedModels]:
    """The models of a file or URL, as it is now and whenever it changes."""
    folder = Path(environ.get("SECRETS_DIR", DEFAULT_SECRETS))

    def read() -> Contents:
        secrets = (path for path in folder.glob("*") if path.name != API_KEYS)
        return contents_of([location, *secrets])

    def parse(contents: Contents) -> ListedModels:
        lists = parse_settings(content_at(contents, location), ModelLists, location)
        return ListedModels(lists, upstream_keys(lists, folder, contents))

    return Watched("models.json", read, parse, seconds=seconds)
