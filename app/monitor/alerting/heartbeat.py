"""A sign of life to someone outside, who raises the alarm when it stops coming."""

from __future__ import annotations

import asyncio
from pathlib import Path

from app.monitor.checks.fetch import Fetcher, NoAnswer
from app.monitor.settings import AlertSettings
from app.shared.json_log import Log

log = Log("monitor")

HEARTBEAT_INTERVAL = 60.0


async def beat(rules: AlertSettings, fetcher: Fetcher) -> None:
    """GET the secret address regularly, until cancelled; a fault is logged once."""
    failing = False
    while rules.heartbeat_url_file is not None:
        fault = await _beat_once(rules.heartbeat_url_file, fetcher)
        if fault and not failing:
            log.warning("heartbeat failed", reason=fault)
        failing = fault is not None
        await asyncio.sleep(HEARTBEAT_INTERVAL)


async def _beat_once(url_file: Path, fetcher: Fetcher) -> str | None:
    """The fault, without the address, which is a secret."""
    try:
        url = (await asyncio.to_thread(url_file.read_text)).strip()
        answer = await fetcher.get(url, 10.0)
    except OSError as error:
        return f"its address cannot be read: {error.strerror}"
    except (NoAnswer, ValueError) as fault:
        return str(fault) if isinstance(fault, NoAnswer) else "not a valid address"
    return None if 200 <= answer.status < 300 else f"HTTP {answer.status}"
