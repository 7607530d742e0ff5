"""Heartbeats: regular requests to an external service, which sends an alert when they stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

from app.monitor.checks.http_client import HttpClient, NoResponse
from app.monitor.settings import AlertSettings
from app.shared.json_log import Log

log = Log("monitor")

HEARTBEAT_INTERVAL = 60.0
HEARTBEAT_WITHIN = 10.0


async def send_heartbeats(settings: AlertSettings, http_client: HttpClient) -> None:
    """GET the secret URL regularly, until cancelled; a problem is logged once."""
    failing = False
    while settings.heartbeat_url_file is not None:
        problem = await _send_heartbeat(settings.heartbeat_url_file, http_client)
        if problem and not failing:
            log.warning("heartbeat failed", reason=problem)
        failing = problem is not None
        await asyncio.sleep(HEARTBEAT_INTERVAL)


async def _send_heartbeat(url_file: Path, http_client: HttpClient) -> str | None:
    """The problem, without the URL, which is a secret."""
    try:
        url = (await asyncio.to_thread(url_file.read_text)).strip()
        response = await http_client.get(url, HEARTBEAT_WITHIN)
    except OSError as error:
        return f"its URL cannot be read: {error.strerror}"
    except NoResponse as error:
        return str(error)
    except ValueError:
        return "its URL is not valid"
    return None if 200 <= response.status < 300 else f"HTTP {response.status}"
