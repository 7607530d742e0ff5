"""The file of API keys: read again while the gateway runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from app.chat.settings import API_KEYS, DEFAULT_SECRETS, KeyFile
from app.shared.settings_file import SettingsError, parse_settings
from app.shared.watched_file import READ_EVERY, Contents, Watched, contents_of


def watched_keys(
    *, required: bool, environ: Mapping[str, str] = os.environ, seconds: float = READ_EVERY
) -> Watched[KeyFile | None]:
    """The keys, as they are now and whenever they change; None while there never was a file.

    A file that is removed does not remove the keys: the gateway must not become open by mistake.
    """
    path = Path(environ.get("SECRETS_DIR", DEFAULT_SECRETS)) / API_KEYS
    had_keys = required

    def parse(contents: Contents) -> KeyFile | None:
        nonlocal had_keys
        content = contents.get(str(path))
        if content is None:
            if had_keys or path.exists():
                raise SettingsError(f"{path}: cannot be read")
            return None
        keys = parse_settings(content, KeyFile, str(path), secret=True)
        had_keys = True
        return keys

    return Watched(API_KEYS, lambda: contents_of([path]), parse, seconds=seconds)
