"""Starts the gateway: `python3 -m app.chat`. It listens on HOST and PORT (0.0.0.0, 8080)."""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import replace

from app.chat.access.applications import watched_applications
from app.chat.access.key_file import watched_keys
from app.chat.app import create_app
from app.chat.model_lists import watched_lists
from app.chat.server.server import HANDOVER_SECONDS, Server, server_config
from app.chat.settings import (
    AccessApplications,
    GatewaySettings,
    load_secrets,
    load_settings,
    usage_file,
)
from app.shared.json_log import Log, log_to
from app.shared.settings_file import SettingsError
from app.shared.watched_file import Watched

_log = Log(__name__)

_HOST = "0.0.0.0"
_PORT = "8080"
# On a Swarm the list comes from another service, which may start at the same time.
LIST_SECONDS = 60.0


def _applications(settings: GatewaySettings) -> Watched[AccessApplications] | None:
    location = settings.access.applications if settings.access is not None else None
    return watched_applications(location) if location else None


def main() -> int:
    log_to()
    try:
        settings = load_settings()
        lists = watched_lists(settings.model_list) if settings.model_list else None
        listed = lists.first(patience=LIST_SECONDS) if lists else None
        if listed:
            settings = settings.with_lists(listed.lists)
        applications = _applications(settings)
        if applications:
            settings = settings.with_applications(applications.first(patience=LIST_SECONDS))
        keys = watched_keys(required=settings.requires_keys)
        secrets = replace(load_secrets(settings), api_keys=keys.first())
        usage = usage_file()
    except SettingsError as error:
        for line in str(error).splitlines():
            _log.error(line)
        return 2
    _log.info(
        "starting",
        models=[model.id for model in settings.models],
        keys=len(secrets.api_keys.keys) if secrets.api_keys is not None else 0,
        servers=[server.name for server in settings.servers],
        usage_file=None if usage is None else str(usage),
    )
    host = os.environ.get("HOST", _HOST)
    port = int(os.environ.get("PORT", _PORT))
    app = create_app(
        settings, secrets, lists=lists, keys=keys, usage_file=usage, applications=applications
    )
    config = server_config(app, host, port, settings.drain_seconds, settings.limits)
    server = Server(config, HANDOVER_SECONDS)
    # What exists now stays: do not search it for garbage again and again, which stops all streams
    # for tens of milliseconds.
    gc.collect()
    gc.freeze()
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
