"""The model router over HTTP, OpenAI-compatible: what n8n's model node is pointed at.

POST /llm/v1/chat/completions, streaming and not; GET /llm/v1/models.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from pipelines.answer.coalesce import coalesce, window_s
from pipelines.answer.event_stream import EventStream, while_connected
from pipelines.answer.generate import ModelRouter
from pipelines.answer.openai_format import (
    DONE,
    ChatCompletionRequest,
    ChunkLines,
    completion_body,
    error_line,
    usage_body,
)
from pipelines.errors import ModelFailed
from pipelines.providers.base import TextDelta


def router_api(router: ModelRouter, authorize: Callable[..., Awaitable[None] | None]) -> APIRouter:
    """The routes over `router`; `authorize` is the dependency that raises `Unauthorized` without the internal key."""
    api = APIRouter(prefix="/llm/v1", dependencies=[Depends(authorize)])

    @api.get("/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_listing(model_id) for model_id in await router.models()]}

    @api.post("/chat/completions")
    async def chat_completions(body: ChatCompletionRequest, request: Request) -> Response:
        await _refuse_second_voice(router, body.request_id)
        if body.stream:
            return EventStream(_chunks(router, body), render_error=error_line)
        return JSONResponse(await while_connected(request.receive, _completion(router, body)))

    return api


async def _refuse_second_voice(router: ModelRouter, request_id: str) -> None:
    """Raise `ModelFailed` when a reader has the beginning of an answer under this request id already.

    An agent of n8n 2.40 asks its fallback model also after the first one has broken off in the middle, and sends the
    words of both. A model that is asked again after it has called a tool has finished, and may go on.
    """
    call = await router.calls.get(request_id) if request_id else None
    if call and call.unfinished:
        error = call.error or ModelFailed("The model broke off in the middle of its answer; ask again.")
        await router.calls.put(replace(call, error=error))
        raise error


async def _chunks(router: ModelRouter, body: ChatCompletionRequest) -> AsyncGenerator[bytes, None]:
    request_id = body.request_id or uuid.uuid4().hex
    deltas = router.stream(body.request(request_id))
    lines: ChunkLines | None = None
    async with aclosing(coalesce(deltas, lambda: window_s(router.active))) as merged:
        async for delta in merged:
            if lines is None:
                lines = ChunkLines(f"chatcmpl-{request_id}", await _answering(router, request_id, body.model))
                yield lines.role()
            if isinstance(delta, TextDelta):
                yield lines.text(delta.text)
                continue
            yield lines.finish(delta.reason)
            if delta.usage and body.stream_options.include_usage:
                yield lines.usage(usage_body(delta.usage))
            yield DONE


async def _completion(router: ModelRouter, body: ChatCompletionRequest) -> dict[str, Any]:
    request_id = body.request_id or uuid.uuid4().hex
    completion = await router.complete(body.request(request_id))
    model = await _answering(router, request_id, body.model)
    finish = completion.finish
    usage = usage_body(finish.usage) if finish.usage else None
    return completion_body(f"chatcmpl-{request_id}", model, completion.text, finish.reason, usage)


async def _answering(router: ModelRouter, request_id: str, asked: str) -> str:
    """The model that answers: with a fallback it is another than the one asked for."""
    call = await router.calls.get(request_id)
    return call.model if call else asked


def _listing(model_id: str) -> dict[str, Any]:
    return {"id": model_id, "object": "model", "created": 0, "owned_by": model_id.partition("/")[0]}
