"""Small exports of other programs, in their formats."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

_TIME = 1_790_000_000


def chatgpt_chat(key: str, title: str, *nodes: tuple[str, str | None, str, str]) -> dict[str, Any]:
    """A chat of ChatGPT from (id, parent, role, text); the last node is displayed."""
    mapping = {
        node: {
            "id": node,
            "parent": parent,
            "children": [other for other, above, _, _ in nodes if above == node],
            "message": {
                "id": node,
                "author": {"role": role, "name": None, "metadata": {}},
                "create_time": _TIME + number,
                "content": {"content_type": "text", "parts": [text]},
                "recipient": "all",
                "metadata": {"model_slug": "gpt-4o"} if role == "assistant" else {},
            },
        }
        for number, (node, parent, role, text) in enumerate(nodes)
    }
    return {
        "conversation_id": key,
        "title": title,
        "create_time": _TIME,
        "update_time": _TIME + 60,
        "mapping": mapping,
        "current_node": nodes[-1][0] if nodes else None,
    }


def chatgpt_zip(*chats: dict[str, Any], name: str = "conversations.json") -> bytes:
    """The zip file that OpenAI sends."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("user.json", "{}")
        archive.writestr(name, json.dumps(list(chats)))
        archive.writestr("chat.html", "<html></html>")
    return target.getvalue()


def open_webui(title: str, question: str, answer: str) -> bytes:
    messages = {
        "q": {"id": "q", "parentId": None, "role": "user", "content": question},
        "a": {
            "id": "a",
            "parentId": "q",
            "role": "assistant",
            "content": answer,
            "model": "llama3:8b",
        },
    }
    chat = {"title": title, "history": {"messages": messages, "currentId": "a"}}
    row = {"id": "row-1", "title": title, "chat": chat, "updated_at": _TIME, "created_at": _TIME}
    return json.dumps([row]).encode()
