"""Limits the memory for answers that are collected before they are sent.

A stream needs no memory: its chunks are passed on. A whole answer is in memory until its end, and
the client chooses how long it is, and with `top_logprobs` how large each token is.
"""

from __future__ import annotations

from app.chat.fleet.upstream_errors import Retry, UpstreamFailure
from app.chat.openai.errors import ApiError

# Of an event without probabilities, only the text is kept: about four of its 250 bytes.
_KEPT_PART = 8
_PROBABILITIES = (b'"logprobs":{', b'"logprobs": {', b'"completion_probabilities"')
_RETRY_AFTER_SECONDS = 5.0


class AnswerMemory:
    """The bytes of all answers that are being collected.

    :param each: the most for one answer.
    :param together: the most for all at once.
    """

    def __init__(self, each: int, together: int) -> None:
        self.each = each
        self.together = together
        self.held = 0

    def open(self) -> AnswerAccount:
        return AnswerAccount(self)


class AnswerAccount:
    """The bytes of one answer; `close` gives them back."""

    def __init__(self, memory: AnswerMemory) -> None:
        self._memory = memory
        self._held = 0

    def add_events(self, events: bytes) -> None:
        """Count events whose content is merged; raises UpstreamFailure over a limit."""
        whole = any(name in events for name in _PROBABILITIES)
        self.add(len(events) if whole else len(events) // _KEPT_PART)

    def add(self, size: int) -> None:
        """Count bytes that are kept as they are; raises UpstreamFailure over a limit."""
        memory = self._memory
        if self._held + size > memory.each:
            raise _refused(
                400,
                f"the answer has more than {memory.each} bytes; "
                "use a stream, a smaller max_tokens, or fewer logprobs",
                "answer_too_large",
            )
        if memory.held + size > memory.together:
            raise _refused(
                429, "the gateway collects too many answers; use a stream", "gateway_full"
            )
        memory.held += size
        self._held += size

    def close(self) -> None:
        self._memory.held -= self._held
        self._held = 0


def _refused(status: int, message: str, code: str) -> UpstreamFailure:
    """The model server is not to blame, and would answer the same again."""
    retry_after = _RETRY_AFTER_SECONDS if status == 429 else None
    error = ApiError(status, message, code=code, retry_after=retry_after)
    return UpstreamFailure(error, Retry.NOWHERE, False)
