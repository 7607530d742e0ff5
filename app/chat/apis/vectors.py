"""Embeddings in OpenAI's form, and rankings in Jina's, which llama-server and vLLM have too."""

from __future__ import annotations

from app.chat.apis.api import Api
from app.chat.schema.requests import EMBEDDING_FIELDS, RERANK_FIELDS
from app.chat.settings import ModelTask

EMBEDDINGS = Api(
    "/v1/embeddings",
    tasks=(ModelTask.EMBEDDING,),
    schema=EMBEDDING_FIELDS,
    separate_texts=True,
)
RERANK = Api(
    "/v1/rerank",
    aliases=("/v1/reranking", "/rerank", "/reranking"),
    tasks=(ModelTask.RERANK,),
    schema=RERANK_FIELDS,
    separate_texts=True,
)
