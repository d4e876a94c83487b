"""Builds everything from the settings: the one place where parts are wired together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from pipelines.answer.gateway import Gateway
from pipelines.answer.generate import ModelRouter
from pipelines.answer.identity import Identity
from pipelines.answer.offer import ModelOffer
from pipelines.answer.read_request import Limits
from pipelines.answer.rerank import Reranker
from pipelines.answer.retrieve import Retriever
from pipelines.answer.run import AnswerPath
from pipelines.answer.understand.rewrite import Rewriter
from pipelines.answer.workflow import WorkflowClient
from pipelines.bootstrap_documents import Documents, load_configured_embedding, open_documents
from pipelines.bootstrap_models import offered, open_router
from pipelines.providers.rerank import choose_rerank
from pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """What the application serves."""

    settings: Settings
    documents: Documents
    retriever: Retriever
    router: ModelRouter
    gateway: Gateway


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Services]:
    """Build the services of one process and release them at the end; raises `SetupFailed` with what to do."""
    embedding = await asyncio.to_thread(load_configured_embedding, settings)
    async with AsyncExitStack() as opened:
        documents = await asyncio.to_thread(open_documents, settings, embedding)
        opened.push_async_callback(asyncio.to_thread, documents.close)
        router = open_router(settings, embedding)
        opened.push_async_callback(router.close)
        workflow = await opened.enter_async_context(_workflow(settings))
        retriever = await asyncio.to_thread(_retriever, settings, documents, router)
        if retriever.reranker:
            opened.push_async_callback(asyncio.to_thread, retriever.reranker.close)
        await asyncio.to_thread(documents.start)
        yield Services(
            settings=settings,
            documents=documents,
            retriever=retriever,
            router=router,
            gateway=_gateway(settings, router, workflow),
        )


def configured_reranker(settings: Settings) -> Reranker | None:
    """The reranker that the settings name, if they name one; raises `SetupFailed`."""
    provider = choose_rerank(
        settings.rerank_model,
        region=settings.aws_region,
        backend=settings.embedding_backend,
        state_dir=settings.state_dir,
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


def _workflow(settings: Settings) -> WorkflowClient:
    return WorkflowClient(
        settings.n8n_url,
        path=settings.workflow_path,
        key=settings.webhook_api_key.get_secret_value(),
        api_key_file=settings.n8n_api_key_file,
        idle_timeout_s=settings.workflow_idle_timeout_s,
    )


def _gateway(settings: Settings, router: ModelRouter, workflow: WorkflowClient) -> Gateway:
    client_key = settings.client_api_key
    return Gateway(
        identity=Identity(
            gateway_key=settings.gateway_api_key.get_secret_value(),
            identity_secret=settings.identity_secret.get_secret_value(),
            client_key=client_key.get_secret_value() if client_key else None,
        ),
        path=AnswerPath(workflow=workflow, calls=router.calls, deadline_s=settings.answer_deadline_s),
        router=router,
        offer=ModelOffer(choices=offered(settings)),
        limits=Limits(
            request_bytes=settings.max_request_kb * 1024,
            question_chars=settings.max_question_chars,
            history_turns=settings.history_turns,
        ),
    )
