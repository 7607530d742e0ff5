"""Links from the status page to the chat page of the stack."""

from __future__ import annotations

from urllib.parse import quote

from app.monitor.settings import ChatAddress

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def chat_url(chat: ChatAddress | None, host: str) -> str | None:
    """The chat page as the reader of a page reaches it: by its public name, or on this machine.

    :param host: header Host of the reader's request.
    """
    if chat is None:
        return None
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if name.lower() in LOOPBACK and chat.port is not None:
        return f"http://{name}:{chat.port}/"
    return str(chat.url) if chat.url else None


def model_url(chat: str, model: str) -> str:
    """The chat page with a model chosen."""
    return f"{chat}?models={quote(model, safe='')}"
