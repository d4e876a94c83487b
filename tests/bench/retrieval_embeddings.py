"""Our embedding model behind OpenAI's protocol, so that another product makes the same vectors."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from pipelines.bootstrap_documents import load_configured_embedding
from pipelines.providers.base import EmbeddingProvider
from tests.bench.retrieval_index import bench_settings
from tests.bench.retrieval_results import Plan
from tests.bench.retrieval_serve import serve_app


def serve_embeddings(plan: Plan) -> None:
    """Say the port on stdout, then serve `POST /v1/embeddings` until the process is ended."""
    embedding = load_configured_embedding(bench_settings(plan.state))
    app = FastAPI(docs_url=None, redoc_url=None)

    async def embed(request: Request) -> Response:
        given = (await request.json())["input"]
        return JSONResponse(await asyncio.to_thread(_embed, embedding, [given] if isinstance(given, str) else given))

    app.add_route("/v1/embeddings", embed, methods=["POST"])
    serve_app(app, model=embedding.name)


def _embed(embedding: EmbeddingProvider, texts: list[str]) -> dict[str, Any]:
    vectors = embedding.embed(texts, input_type="document").tolist()
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"object": "list", "model": embedding.name, "data": data, "usage": {"prompt_tokens": 0, "total_tokens": 0}}
