"""Builds everything from the settings: the one place where parts are wired together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from pipelines.answer.cache.answer_cache import AnswerCache
from pipelines.answer.departures import Departures
from pipelines.answer.gateway import Gateway
from pipelines.answer.generate.router import ModelRouter
from pipelines.answer.identity import Identity
from pipelines.answer.offer import ModelOffer
from pipelines.answer.read_request import Limits
from pipelines.answer.rerank import Reranker
from pipelines.answer.retrievals import Retrievals
from pipelines.answer.retrieve import Retriever
from pipelines.answer.run import AnswerPath
from pipelines.answer.understand.rewrite import Rewriter
from pipelines.answer.workflow import WorkflowClient
from pipelines.bootstrap_cache import Caches, open_caches
from pipelines.bootstrap_documents import Documents, load_configured_embedding, open_documents
from pipelines.bootstrap_models import offered, open_router
from pipelines.bootstrap_spending import open_spending
from pipelines.cost import PriceList
from pipelines.providers.rerank import choose_rerank
from pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """What the application serves."""

    settings: Settings
    documents: Documents
    retriever: Retriever
    retrievals: Retrievals
    router: ModelRouter
    answers: AnswerCache
    gateway: Gateway
    departures: Departures | None = None


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Services]:
    """Build the services of one process and release them at the end; raises `SetupFailed` with what to do."""
    embedding = await asyncio.to_thread(load_configured_embedding, settings)
    async with AsyncExitStack() as opened:
        documents = await asyncio.to_thread(open_documents, settings, embedding)
        opened.push_async_callback(asyncio.to_thread, documents.close)
        caches = open_caches(settings)
        opened.push_async_callback(caches.close)
        offer = ModelOffer(choices=offered(settings))
        prices = PriceList.load(settings.prices_file)
        spending = await asyncio.to_thread(open_spending, settings, prices, offer)
        opened.push_async_callback(asyncio.to_thread, spending.close)
        router = open_router(settings, embedding, caches.calls, spending)
        opened.push_async_callback(router.close)
        path = AnswerPath(
            workflow=await opened.enter_async_context(_workflow(settings, caches.departures)),
            calls=router.calls,
            deadline_s=settings.answer_deadline_s,
            prices=prices,
            spending=spending,
            retrievals=caches.retrievals,
        )
        retriever = await asyncio.to_thread(_retriever, settings, documents, router)
        if retriever.reranker:
            opened.push_async_callback(asyncio.to_thread, retriever.reranker.close)
        await asyncio.to_thread(documents.start)
        yield Services(
            settings=settings,
            documents=documents,
            retriever=retriever,
            retrievals=caches.retrievals,
            router=router,
            answers=AnswerCache(router, caches.retrievals, caches.kept, spending=spending),
            gateway=_gateway(settings, path, router, offer, caches),
            departures=caches.departures,
        )


def configured_reranker(settings: Settings) -> Reranker | None:
    """The reranker that the settings name, if they name one; raises `SetupFailed`."""
    provider = choose_rerank(
        settings.rerank_model,
        region=settings.aws_region,
        backend=settings.embedding_backend,
        models_dir=settings.models_dir,
        threads=settings.embedding_threads,
        timeout_s=settings.rerank_timeout_s,
    )
    return Reranker(provider, settings.rerank_depth, settings.rerank_timeout_s) if provider else None


def _retriever(settings: Settings, documents: Documents, router: ModelRouter) -> Retriever:
    return Retriever(
        documents.generations,
        limit=settings.retrieve_limit,
        rewriter=Rewriter(router, timeout_s=settings.rewrite_timeout_s),
        reranker=configured_reranker(settings),
    )


def _workflow(settings: Settings, departures: Departures | None) -> WorkflowClient:
    return WorkflowClient(
        settings.workflow_url,
        path=settings.workflow_path,
        key=settings.webhook_api_key.get_secret_value(),
        api_key_file=settings.n8n_api_key_file,
        idle_timeout_s=settings.workflow_idle_timeout_s,
        api_url=settings.n8n_url,
        departures=departures,
    )


def _gateway(settings: Settings, path: AnswerPath, router: ModelRouter, offer: ModelOffer, caches: Caches) -> Gateway:
    client_key = settings.client_api_key
    return Gateway(
        identity=Identity(
            gateway_key=settings.gateway_api_key.get_secret_value(),
            identity_secret=settings.identity_secret.get_secret_value(),
            client_key=client_key.get_secret_value() if client_key else None,
        ),
        path=path,
        router=router,
        offer=offer,
        spending=path.spending,
        turns=caches.turns,
        limits=Limits(
            request_bytes=settings.max_request_kb * 1024,
            question_chars=settings.max_question_chars,
            history_turns=settings.history_turns,
        ),
    )
