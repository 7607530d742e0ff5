"""Starts the gateway: `python3 -m chat`."""

from __future__ import annotations

import logging
import math
import sys

import uvicorn

from .app import create_app
from .json_log import log_to_stdout
from .settings import SettingsError, load_secrets, load_settings

_PORT = 8080


def main() -> int:
    log_to_stdout()
    log = logging.getLogger("chat")
    try:
        settings = load_settings()
        secrets = load_secrets()
    except SettingsError as error:
        for line in str(error).splitlines():
            log.error(line)
        return 2
    fields = {
        "models": [model.id for model in settings.models],
        "keys": len(secrets.api_keys.keys) if secrets.api_keys is not None else 0,
        "github_models": secrets.github_token is not None,
    }
    log.info("starts", extra={"fields": fields})
    uvicorn.run(
        create_app(settings, secrets),
        host="0.0.0.0",
        port=_PORT,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
