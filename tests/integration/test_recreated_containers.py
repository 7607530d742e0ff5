"""Containers that cannot run beside their successor: where that fails, the old one serves again."""

from __future__ import annotations

from tests.integration.conftest import StackUnderTest
from tests.ports import free_port

CHAT = "chat-interface"
START = "def main() -> int:\n"


def running(stack: StackUnderTest) -> list[str]:
    """Names of the chats that run."""
    labels = [f"llm-stack.stack={stack.name}", f"llm-stack.service={CHAT}"]
    return [str(one.name) for one in stack.engine.containers.list(filters={"label": labels})]


def test_the_old_container_serves_again_until_one_that_works_replaces_it(
    stack: StackUnderTest,
) -> None:
    stack.configure(services=[CHAT], hostPorts={CHAT: free_port()}, monitor={"interval": 5})
    stack.up()
    old = running(stack)
    program = stack.project / "app/chat/__main__.py"
    good = program.read_text(encoding="utf-8")
    broken = good.replace(START, f'{START}    raise SystemExit("broken on purpose")\n')
    assert broken != good
    program.write_text(broken, encoding="utf-8")
    for _ in ("a new container", "another try with the same one"):
        failed = stack.up(check=False)
        assert failed.returncode != 0
        assert "broken on purpose" in failed.stdout
        assert f"its old container {old[0]} serves again" in failed.stdout
        assert running(stack) == old
    program.write_text(good + "\n", encoding="utf-8")
    stack.up()
    assert len(running(stack)) == 1
    assert running(stack) != old
    assert len(stack.containers()) == 3, "the failed ones are removed"
    stack.pulumi("preview", "--refresh", "--expect-no-changes")
