"""Amazon Bedrock's InvokeModel for embedding models on the wire: signed as AWS wants it, answered as AWS does.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.aws_signature import Keys, check_signature
from tests.fakes.aws_wire import Refusal, application, json_response, running
from tests.fakes.bedrock_refusals import MODEL_ERROR, THROTTLED, UNKNOWN_MODEL, invalid
from tests.models.embeddings import Embeddings

TITAN, TITAN_1 = "amazon.titan-embed-text-v2:0", "amazon.titan-embed-text-v1"
COHERE, COHERE_4 = "cohere.embed-multilingual-v3", "eu.cohere.embed-v4:0"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"
MODELS = (TITAN, TITAN_1, COHERE, COHERE_4, NOVA)


@dataclass(slots=True)
class EmbeddingServer:
    """A Bedrock endpoint with the embedding models there are. Every request is refused with `refusal` if it is set."""

    url: str = ""
    keys: Keys = field(default_factory=Keys)
    refusal: Refusal | None = None
    embeddings: Embeddings = field(default_factory=Embeddings)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = application()
        app.router.add_post("/model/{model}/invoke", self._invoke)
        return app

    async def _invoke(self, request: web.Request) -> web.Response:
        raw = await request.read()
        model, body, faults = request.match_info["model"], orjson.loads(raw), self.embeddings
        self.requests.append(body)
        refusal = check_signature(request, raw, self.keys) or self.refusal or _check(model, body)
        if refusal is None and faults.refused():
            refusal = THROTTLED
        if refusal is None and faults.fault == "long":
            refusal = invalid("400 Bad Request: Too many input tokens. Max input tokens: 8192, in this request: 9000")
        texts, size = ([], 0) if refusal else _asked(model, body)
        if refusal is None and faults.fails(texts):
            refusal = MODEL_ERROR
        if refusal:
            return refusal.response()
        if faults.fault == "garbage":
            return web.Response(body=b"<html>", content_type="application/json")
        if faults.fault == "fail" and request.transport is not None:
            request.transport.abort()
        return json_response(_answer(model, body, await faults.vectors(texts, size)))


@asynccontextmanager
async def running_embedding() -> AsyncIterator[EmbeddingServer]:
    """Run a Bedrock endpoint in this event loop, on a free port."""
    server = EmbeddingServer()
    async with running(server):
        yield server


def _check(model: str, body: dict[str, Any]) -> Refusal | None:
    if model not in MODELS:
        return UNKNOWN_MODEL
    texts, _ = _asked(model, body)
    if model in (COHERE, COHERE_4):
        if body["input_type"] not in ("search_query", "search_document"):
            return invalid("Malformed input request: #/input_type: not a valid enum value")
        if not 1 <= len(texts) <= 96 or (model == COHERE and max(map(len, texts)) > 2048):
            return invalid("Malformed input request: #/texts: expected maximum item count: 96, and maxLength: 2048")
    if model == NOVA and len(texts[0]) > 8192:
        return invalid("Malformed input request: #/singleEmbeddingParams/text/value: expected maxLength: 8192")
    if not all(text.strip() for text in texts):
        return invalid("Malformed input request: expected minLength: 1, actual: 0, please reformat your input")
    return None


def _asked(model: str, body: dict[str, Any]) -> tuple[list[str], int]:
    """The texts of a request and the size of the vectors it wants."""
    if model in (COHERE, COHERE_4):
        return body["texts"], body.get("output_dimension", 1024 if model == COHERE else 1536)
    if model == NOVA:
        wanted = body["singleEmbeddingParams"]
        return [wanted["text"]["value"]], wanted.get("embeddingDimension", 3072)
    return [body["inputText"]], body.get("dimensions", 1024 if model == TITAN else 1536)


def _answer(model: str, body: dict[str, Any], vectors: list[list[object]]) -> dict[str, Any]:
    if model == NOVA:
        return {"embeddings": [{"embeddingType": "TEXT", "embedding": vector} for vector in vectors]}
    if model in (COHERE, COHERE_4):
        by_type = "embedding_types" in body
        kind = "embeddings_by_type" if by_type else "embeddings_floats"
        embeddings: object = {"float": vectors} if by_type else vectors
        return {"id": "e1", "texts": body["texts"], "embeddings": embeddings, "response_type": kind}
    return {"embedding": vectors[0] if vectors else [], "inputTextTokenCount": 8}
