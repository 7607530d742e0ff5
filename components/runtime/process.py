"""How the Pulumi program itself runs: its signals and its memory."""

from __future__ import annotations

import atexit
import gc
import signal


def prepare_process() -> None:
    """To be called before any resource is declared."""
    # Pulumi sends SIGINT when a resource fails: exit quietly.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Every object lives until exit, so the garbage collector only costs time.
    gc.disable()
    atexit.register(gc.freeze)
