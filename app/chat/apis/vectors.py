"""Embeddings in OpenAI's form, and rankings in Jina's, which llama-server and vLLM have too."""

from __future__ import annotations

from app.chat.apis.api import Api
from app.chat.settings import ModelTask

EMBEDDINGS = Api("/v1/embeddings", tasks=(ModelTask.EMBEDDING,))
RERANK = Api(
    "/v1/rerank",
    aliases=("/v1/reranking", "/rerank", "/reranking"),
    tasks=(ModelTask.RERANK,),
)
