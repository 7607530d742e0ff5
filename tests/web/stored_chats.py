"""Export files with conversations, for tests that begin with stored ones."""

from __future__ import annotations

import json
from typing import Any

from playwright.async_api import Page, expect

from tests.web.chat_page import ChatPage

_TIME = 1_790_000_000_000


def answer(key: str, text: str, **more: Any) -> dict[str, Any]:
    return {
        "id": key,
        "state": "done",
        "text": text,
        "reasoning": "",
        "servedBy": None,
        "finish": "stop",
        "failure": None,
        "figures": None,
        "createdAt": _TIME,
        **more,
    }


def conversation(key: str, title: str, *exchanges: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A conversation with the model alpha: questions, each with its answer."""
    turns = [
        {
            "id": f"{key}-{number}",
            "parent": f"{key}-{number - 1}" if number else None,
            "text": question,
            "createdAt": _TIME,
            "lanes": [
                {"model": "alpha", "answers": [answer(f"{key}-{number}-a", text)], "shown": 0}
            ],
            "vote": None,
        }
        for number, (question, text) in enumerate(exchanges)
    ]
    return {
        "id": key,
        "title": title,
        "named": True,
        "createdAt": _TIME,
        "updatedAt": _TIME,
        "models": ["alpha"],
        "blind": False,
        "system": "",
        "sampling": {"temperature": 0.7, "topP": 0.95, "maxTokens": 1024, "seed": None},
        "turns": turns,
        "shown": {turn["parent"] or "": turn["id"] for turn in turns},
        **more,
    }


def export_file(*conversations: dict[str, Any]) -> str:
    return json.dumps(
        {
            "format": "chat-conversations",
            "version": 1,
            "exported": "2026-11-27T00:00:00Z",
            "conversations": list(conversations),
        }
    )


async def import_file(chat: ChatPage, content: str, name: str = "import.json") -> None:
    async with chat.page.expect_file_chooser() as chooser:
        await chat.button("More").click()
        await chat.page.get_by_role("menuitem", name="Import").click()
    await (await chooser.value).set_files(
        {"name": name, "mimeType": "application/json", "buffer": content.encode()}
    )


async def import_conversations(chat: ChatPage, *conversations: dict[str, Any]) -> None:
    await import_file(chat, export_file(*conversations))
    await expect(chat.notice).to_contain_text("Imported")
    await chat.button("Dismiss").click()


async def until_stored(page: Page, text: str) -> None:
    """Wait until the text of a streaming answer is in IndexedDB."""
    await page.evaluate(
        """async (text) => {
          for (let stored = ""; !stored.includes(text); await new Promise(requestAnimationFrame)) {
            const open = indexedDB.open("chat");
            await new Promise((resolve) => (open.onsuccess = resolve));
            const all = open.result.transaction("conversations").objectStore("conversations").getAll();
            await new Promise((resolve) => (all.onsuccess = resolve));
            open.result.close();
            stored = JSON.stringify(all.result);
          }
        }""",
        text,
    )
