"""A whole pipelines part with the matrix' documents in it: the real registry, index, stages, routes and quoting model.

Only n8n is played: its webhook does the two calls that the shipped workflow does, over the real routes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from fastapi import FastAPI

from pipelines.answer.cache.answer_cache import AnswerCache
from pipelines.answer.cache.kept_answers import KeptAnswers
from pipelines.answer.gateway import Gateway
from pipelines.answer.generate.model_calls import InProcessModelCalls
from pipelines.answer.generate.router import ModelRouter, Patience, ServedProvider
from pipelines.answer.identity import Identity
from pipelines.answer.offer import ModelOffer
from pipelines.answer.read_request import Limits
from pipelines.answer.retrievals import Retrievals
from pipelines.answer.retrieve import Retriever
from pipelines.answer.run import AnswerPath
from pipelines.answer.workflow import WorkflowClient
from pipelines.app import create_app
from pipelines.bootstrap import Services
from pipelines.bootstrap_documents import Documents
from pipelines.cost import PriceList
from pipelines.domain import Chunk, Document, Grant
from pipelines.ingest.fetch import document_id
from pipelines.providers.extractive import ExtractiveProvider
from pipelines.settings import Settings
from pipelines.stores.cache import MemoryCache
from tests.access.plants import EARLIER, FORMER, GROUPS, PLANTS, Plant
from tests.fakes.n8n import N8n, answer, chunk, stream
from tests.unit.answer.test_identity import SECRET
from tests.unit.ingest.ingestion import NOBODY, Ingestion

INTERNAL_KEY, GATEWAY_KEY, CLIENT_KEY = "internal-key-0001", "gateway-key-0001", "client-key-00001"
LIMIT = 50
LIMITS = Limits(request_bytes=4 * 2**20, question_chars=32_000, history_turns=6)


class Kept(ExtractiveProvider):
    """Quotes under another name: what the quoting model says is never kept, this one's answers are."""

    name = "kept"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the ways of reading are tried on."""

    ingestion: Ingestion
    retriever: Retriever
    app: FastAPI
    http: httpx.AsyncClient

    def id_of(self, plant: Plant) -> str:
        """The document's id, which follows from its origin and is no secret."""
        return document_id(f"upload://{plant.name}")


@asynccontextmanager
async def deployed(ingestion: Ingestion, folder: Path) -> AsyncIterator[Deployment]:
    """Serve what `ingestion` has, in the running event loop."""
    retriever = Retriever(ingestion.generations, limit=LIMIT)
    calls = InProcessModelCalls()
    router = ModelRouter(
        [ServedProvider(ExtractiveProvider(ingestion.embedding), 8), ServedProvider(Kept(ingestion.embedding), 8)],
        default="extractive",
        queue=8,
        patience=Patience(10, 10),
        calls=calls,
        prices=PriceList([]),
    )
    (folder / "key").write_text("n8n-key")
    webhook = _Webhook()
    async with N8n(webhook) as n8n:
        client = WorkflowClient(
            n8n.url, path="answer-question", key="k" * 16, api_key_file=folder / "key", idle_timeout_s=20
        )
        async with client as workflow:
            gateway = Gateway(
                identity=Identity(GATEWAY_KEY, SECRET, CLIENT_KEY),
                path=AnswerPath(workflow, calls, deadline_s=60),
                router=router,
                offer=ModelOffer(choices=(Kept.name,)),
                limits=LIMITS,
            )
            notes = MemoryCache(2**20)
            retrievals = Retrievals(notes)
            answers = AnswerCache(router, retrievals, KeptAnswers(notes, 3600))
            services = Services(
                _settings(folder), _documents(ingestion), retriever, retrievals, router, answers, gateway
            )
            app = create_app(services)
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://pipelines", timeout=60) as http:
                webhook.http = http
                yield Deployment(ingestion, retriever, app, http)


async def plant_all(ingestion: Ingestion) -> None:
    """Bring in every document the way people do, with what happened to it later."""
    ingestion.rules = NOBODY
    await ingestion.library.set_groups(GROUPS)
    earlier = {plant.key: plant for plant in FORMER}
    for plant in PLANTS:
        if plant.key == "staged":
            _stage(ingestion, plant)
            continue
        first = earlier.get(plant.key, plant)
        await _upload(ingestion, first, EARLIER.get(plant.key, plant.grant))
        if plant.key in earlier:
            await _upload(ingestion, plant, plant.grant)
        elif plant.grant is None:
            await ingestion.library.remove(_id(plant))
        elif plant.key in EARLIER:
            await ingestion.library.set_grant(_id(plant), plant.grant)


async def _upload(ingestion: Ingestion, plant: Plant, grant: Grant | None) -> None:
    record = await ingestion.upload(plant.name, plant.markdown().encode(), grant=grant or NOBODY.default)
    assert record.state == "ready", record
    assert (record.chunks or 0) > 1, "a document without neighbours proves nothing of them"


def _stage(ingestion: Ingestion, plant: Plant) -> None:
    identity = _id(plant)
    document = Document(identity, plant.canary("title"), f"upload://{plant.name}", "text/markdown", "r", 1)
    chunk = Chunk(identity, identity, 0, plant.markdown(), plant.canary("title"))
    live = ingestion.generations.live
    live.index.stage(document, [chunk], list(live.embedding.embed([chunk.context], input_type="document")))


def _id(plant: Plant) -> str:
    return document_id(f"upload://{plant.name}")


class _Webhook:
    """What the shipped workflow does: retrieve, send the citations, pass on what the model writes."""

    http: httpx.AsyncClient

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        found = await self._post("/retrieve", {**asked, "execution_id": "77"})
        messages = [{"role": "system", "content": found["system"]}, {"role": "user", "content": found["prompt"]}]
        completion = await self._post("/llm/v1/chat/completions", {**asked["ask"], "messages": messages})
        told = json.dumps({name: found[name] for name in ("execution_id", "sources", "timings")})
        text = completion["choices"][0]["message"]["content"]
        return await stream(request, chunk("item", told, "Send citations"), answer(text))

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = await self.http.post(path, json=body, headers={"x-ragline-key": INTERNAL_KEY})
        response.raise_for_status()
        decoded: dict[str, Any] = response.json()
        return decoded


def _documents(ingestion: Ingestion) -> Documents:
    return Documents(
        library=ingestion.library,
        reindex=ingestion.reindex,
        generations=ingestion.generations,
        registry=ingestion.registry,
        work=ingestion.work,
        workers=ingestion.workers,
        listener=None,
        release=ingestion.close,
    )


def _settings(folder: Path) -> Settings:
    return Settings(
        _env_file=None,
        state_dir=folder,
        gateway_api_key=GATEWAY_KEY,
        internal_api_key=INTERNAL_KEY,
        webhook_api_key="webhook-key-00001",
        identity_secret=SECRET,
        default_access="nobody",
    )
