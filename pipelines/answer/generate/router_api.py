"""The model router over HTTP, OpenAI-compatible: what n8n's model node is pointed at.

POST /llm/v1/chat/completions, streaming and not; GET /llm/v1/models; GET /llm/v1/providers says how each of them is.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Protocol

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from pipelines.answer.departures import Departures
from pipelines.answer.event_stream import EventStream, while_connected
from pipelines.answer.generate.coalesce import coalesce, window_s
from pipelines.answer.generate.completion import Completion
from pipelines.answer.generate.model_calls import ModelCall, ModelCalls
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.generate.router import ModelRouter
from pipelines.answer.openai_format import (
    DONE,
    ChatCompletionRequest,
    ChunkLines,
    completion_body,
    error_line,
    usage_body,
)
from pipelines.domain import Usage
from pipelines.errors import ModelFailed
from pipelines.providers.base import ChatDelta, TextDelta


class Answers(Protocol):
    """What answers a call: the router itself, or the answer cache before it."""

    @property
    def active(self) -> int: ...

    @property
    def calls(self) -> ModelCalls: ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[ChatDelta, None]: ...

    async def complete(self, request: ModelRequest) -> Completion: ...


def router_api(
    router: ModelRouter,
    authorize: Callable[[Request], None],
    *,
    answers: Answers | None = None,
    departures: Departures | None = None,
) -> APIRouter:
    """The routes over `router`; `authorize` raises `Unauthorized` for a caller without the internal key.

    Calls are answered by `answers` where it is given, else by the router; those of a turn that is among the
    `departures` end early.
    """
    asked_first = answers or router

    async def admitted(request: Request) -> None:  # async: FastAPI would have a thread run a plain function
        authorize(request)

    api = APIRouter(prefix="/llm/v1", dependencies=[Depends(admitted)])

    @api.get("/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_listing(model_id) for model_id in await router.models()]}

    @api.get("/providers")
    async def providers() -> dict[str, Any]:
        return {"object": "list", "data": [asdict(report) for report in router.health()]}

    @api.post("/chat/completions")
    async def chat_completions(body: ChatCompletionRequest, request: Request) -> Response:
        await _refuse_second_voice(router, body.request_id)
        asked = body.request(body.request_id or uuid.uuid4().hex)
        headers = {"X-Request-Id": asked.request_id}
        left = partial(departures.of, asked.request_id) if departures and body.request_id else None
        if body.stream:
            chunks = _chunks(asked_first, asked, include_usage=body.stream_options.include_usage)
            return EventStream(chunks, render_error=error_line, headers=headers, left=left)
        whole = await while_connected(request.receive, _completion(asked_first, asked), left=left)
        return JSONResponse(whole, headers=headers)

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


async def _chunks(answers: Answers, asked: ModelRequest, *, include_usage: bool) -> AsyncGenerator[bytes, None]:
    lines: ChunkLines | None = None
    async with aclosing(coalesce(answers.stream(asked), lambda: window_s(answers.active))) as merged:
        async for delta in merged:
            if lines is None:
                call = await answers.calls.get(asked.request_id)
                lines = ChunkLines(f"chatcmpl-{asked.request_id}", _answering(call, asked))
                yield lines.role()
            if isinstance(delta, TextDelta):
                yield lines.text(delta.text)
                continue
            yield lines.finish(delta.reason)
            if delta.usage and include_usage:
                yield lines.usage(_usage(delta.usage, await answers.calls.get(asked.request_id)))
            yield DONE


async def _completion(answers: Answers, asked: ModelRequest) -> dict[str, Any]:
    completion = await answers.complete(asked)
    call = await answers.calls.get(asked.request_id)
    finish = completion.finish
    usage = _usage(finish.usage, call) if finish.usage else None
    return completion_body(
        f"chatcmpl-{asked.request_id}", _answering(call, asked), completion.text, finish.reason, usage
    )


def _answering(call: ModelCall | None, asked: ModelRequest) -> str:
    """The model that answers: with a fallback it is another than the one asked for."""
    return call.model if call else asked.model


def _usage(usage: Usage, call: ModelCall | None) -> dict[str, Any]:
    """OpenAI's `usage`, and beside it what is not OpenAI's: clients leave out what they do not know."""
    more = {"estimated": usage.estimated, "cached": bool(call and call.cached)}
    return {**usage_body(usage), **more, "cost_usd": call.cost_usd if call else None}


def _listing(model_id: str) -> dict[str, Any]:
    return {"id": model_id, "object": "model", "created": 0, "owned_by": model_id.partition("/")[0]}
