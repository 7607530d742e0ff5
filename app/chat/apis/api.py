"""The description of one API: everything that the gateway has to know about its requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.chat.apis.error_form import OPENAI_ERRORS, ErrorForm
from app.chat.apis.stream_form import StreamForm
from app.chat.apis.usage import OPENAI_USAGE, UsageFields
from app.chat.relay.response_assembly import Assembly, ResponseAssembly
from app.chat.schema.schema import OPEN_SCHEMA, Schema
from app.chat.settings import ModelTask

Body = Mapping[str, Any]


def _no_prompt(body: Body) -> Sequence[Any]:
    return ()


def _unchanged(body: Body) -> Body:
    return body


def _never(body: Body) -> bool:
    return False


def always(body: Body) -> bool:
    return True


@dataclass(frozen=True)
class Api:
    """One API; `app/chat/apis/table.py` lists all of them.

    :param path: for clients.
    :param tasks: a model needs one of them.
    :param aliases: more paths for clients.
    :param upstream: the path on the model server below its `/v1`; None: the same as `path`.
    :param at_root: whether the path on the model server is not below `/v1`.
    :param schema: what a client may send.
    :param file: a request is a form with a file in this field; None for JSON.
    :param needs: capabilities that each request needs of its model.
    :param needs_model: otherwise a request without `model` is one for `auto`.
    :param separate_texts: whether a request may have several texts, each with a context of its own.
    :param needs_slot: otherwise the server answers it beside the requests in its slots.
    :param generates: whether the response takes as long as its text, not only as its prompt.
    :param stream: how responses stream; None if they never do.
    :param assembled: whether the response to such a body without `stream` is streamed from the
        model server and assembled. Then each token shows progress, and llama-server notices a
        disconnect. Otherwise it sends the document, and notices a disconnect only after a second in
        which none of its slots generates a token.
    :param assembly: assembles a stream.
    :param prompt: the parts of the prompt, in their order; requests with the same beginning go to
        the same replica.
    :param adapted: the body as the model server needs it; raises ApiError for what no model server
        can do.
    :param usage: where responses have their numbers of tokens.
    :param errors: the form of error responses.
    """

    path: str
    tasks: tuple[ModelTask, ...]
    aliases: tuple[str, ...] = ()
    upstream: str | None = None
    at_root: bool = False
    schema: Schema = OPEN_SCHEMA
    file: str | None = None
    needs: tuple[str, ...] = ()
    needs_model: bool = True
    separate_texts: bool = False
    needs_slot: bool = True
    generates: bool = False
    stream: StreamForm | None = None
    assembled: Callable[[Body], bool] = _never
    assembly: Callable[[], Assembly] = ResponseAssembly
    prompt: Callable[[Body], Sequence[Any]] = _no_prompt
    adapted: Callable[[Body], Body] = _unchanged
    usage: UsageFields = OPENAI_USAGE
    errors: ErrorForm = OPENAI_ERRORS

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path, *self.aliases)

    @property
    def upstream_path(self) -> str:
        """Below the root of the model server if `at_root`, else below its `/v1`."""
        return self.upstream or self.path.removeprefix("/v1")
