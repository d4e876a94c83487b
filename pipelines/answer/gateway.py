"""The gateway: what Open WebUI and any other OpenAI client talk to.

`GET /v1/models`, `POST /v1/chat/completions` (streaming and not) and `POST /answer`, the measurement form of the same
stream. One chat turn is one run of the workflow; Open WebUI's title, tag and follow-up tasks never reach it.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from pipelines.answer.answer_request import AnswerRequest
from pipelines.answer.answered_turns import TURN_HEADER, AnsweredTurns, Turn
from pipelines.answer.event_stream import EventStream, while_connected
from pipelines.answer.generate.model_directory import ModelRef
from pipelines.answer.generate.router import ModelRouter
from pipelines.answer.generate.spending import NO_SPENDING, Spending
from pipelines.answer.identity import TASK_HEADER, Identity
from pipelines.answer.offer import ModelOffer
from pipelines.answer.read_request import AnswerBody, ChatBody, Limits, read_body
from pipelines.answer.run import AnswerPath
from pipelines.answer.stream import (
    Envelope,
    MeasuredRenderer,
    OpenAIRenderer,
    Renderer,
    completion,
    measure_headers,
    rendered,
)
from pipelines.answer.tasks import run_task
from pipelines.domain import AnswerEvent, Citation, CitationsEvent, DoneEvent, Question, TokenEvent, User
from pipelines.errors import ModelUnavailable
from pipelines.stores.cache import MemoryCache

Answering = AsyncGenerator[AnswerEvent, None]

TURN_BYTES = 2**20
"""For turns answered in the last hour, where nobody shares them."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything the gateway's routes need."""

    identity: Identity
    path: AnswerPath
    router: ModelRouter
    offer: ModelOffer
    limits: Limits
    spending: Spending = NO_SPENDING
    turns: AnsweredTurns = field(default_factory=lambda: AnsweredTurns(MemoryCache(TURN_BYTES)))
    replica_id: str = socket.gethostname()

    async def models(self, request: Request) -> Response:
        """List the models a person may choose from."""
        self.identity.admit(request.headers)
        return JSONResponse({"object": "list", "data": self.offer.listing()})

    async def chat(self, request: Request) -> Response:
        """Answer one chat turn, or one of Open WebUI's tasks."""
        started = time.perf_counter()
        user = self.identity.user(request.headers)
        body = await read_body(request, ChatBody, self.limits)
        model = self.offer.resolve(body.model)
        if task := request.headers.get(TASK_HEADER, ""):
            return await self._task(task, body, model, user)
        turn = Turn(user.id, model, request.headers.get(TURN_HEADER, ""))
        fresh = await self.turns.has(turn)
        asked = await self._asked(body.question(user, self.limits), model, started, fresh=fresh)
        events = self.turns.watch(turn, self.path.answer(asked))
        envelope = Envelope(request_id=asked.request_id, model=body.model)
        if body.stream:
            return _event_stream(events, OpenAIRenderer(envelope), asked.request_id)
        text, done, citations = await while_connected(request.receive, _collect(events))
        return JSONResponse(completion(text, done, citations, envelope), headers=measure_headers(done, envelope))

    async def answer(self, request: Request) -> Response:
        """Answer one question in the measurement form."""
        started = time.perf_counter()
        user = self.identity.user(request.headers)
        body = await read_body(request, AnswerBody, self.limits)
        model = self.offer.resolve(body.model or self.offer.default_id)
        asked = await self._asked(body.as_question(user, self.limits), model, started, limit=body.k)
        envelope = Envelope(
            request_id=asked.request_id,
            model=model,
            session_id=body.session_id or asked.request_id,
            replica_id=self.replica_id,
        )
        return _event_stream(self.path.answer(asked), MeasuredRenderer(envelope), asked.request_id)

    async def _asked(
        self, question: Question, model: str, started: float, *, limit: int | None = None, fresh: bool = False
    ) -> AnswerRequest:
        """The question as it goes to the workflow; raises `BudgetSpent` while a status can still say it."""
        meant = await self._meant(model)
        self.spending.check(question.user.id, str(meant or model))
        return AnswerRequest(
            question=question,
            model=model,
            request_id=uuid.uuid4().hex,
            started=started,
            limit=limit,
            fresh=fresh,
            provider=meant.provider if meant else "",
            provider_model=meant.model if meant else "",
        )

    async def _meant(self, model: str) -> ModelRef | None:
        try:
            return await self.router.resolve(model)
        except ModelUnavailable:  # whether something else answers is the router's to say, when it is asked
            return None

    async def _task(self, task: str, body: ChatBody, model: str, user: User) -> Response:
        envelope = Envelope(request_id=uuid.uuid4().hex, model=body.model)
        text = await run_task(
            task, body.turns(), self.router, model_id=model, request_id=envelope.request_id, user_id=user.id
        )
        call = await self.path.calls.get(envelope.request_id)
        done = DoneEvent(model=model)
        if call and call.usage:  # else a rule has answered, which costs nothing
            done = DoneEvent(model=call.model, usage=call.usage, cost_usd=call.cost_usd)
        if not body.stream:
            return JSONResponse(completion(text, done, (), envelope), headers=measure_headers(done, envelope))
        return _event_stream(_said(text, done), OpenAIRenderer(envelope), envelope.request_id)


def gateway_api(gateway: Gateway) -> APIRouter:
    """The gateway's routes."""
    api = APIRouter(tags=["gateway"])
    api.add_api_route("/v1/models", gateway.models, methods=["GET"])
    api.add_api_route("/v1/chat/completions", gateway.chat, methods=["POST"])
    api.add_api_route("/answer", gateway.answer, methods=["POST"])
    return api


async def _collect(events: Answering) -> tuple[str, DoneEvent, tuple[Citation, ...]]:
    words: list[str] = []
    citations: tuple[Citation, ...] = ()
    done = DoneEvent()
    async with aclosing(events):
        async for event in events:
            match event:
                case TokenEvent(text):
                    words.append(text)
                case CitationsEvent(found):
                    citations = tuple(found)
                case DoneEvent():
                    done = event
    return "".join(words), done, citations


async def _said(text: str, done: DoneEvent) -> Answering:
    yield TokenEvent(text)
    yield done


def _event_stream(events: Answering, renderer: Renderer, request_id: str) -> EventStream:
    return EventStream(
        rendered(events, renderer),
        render_error=renderer.render_error,
        headers={"X-Request-Id": request_id},
    )
