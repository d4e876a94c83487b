"""`POST /retrieve`: the step that the workflow calls between the question and the model.

Only who holds the internal key may call it: the body says which user asks, and that decides what is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipelines.answer.read_request import Limits, Many, bounded_question, read_body
from pipelines.answer.retrievals import Retrievals, Retrieved
from pipelines.answer.retrieve import Retrieval, Retriever
from pipelines.answer.sources import to_source
from pipelines.domain import Filters, Message, Passage, Question, User
from pipelines.errors import RaglineError

Id = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Ids = Annotated[list[Id], Field(max_length=1000)]


class _Turn(BaseModel):
    role: Literal["user", "assistant"]
    content: str


class _User(BaseModel):
    id: Id = ""
    groups: Ids = []


class _Filters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    documents: Ids = Field(default=[], description="Ids; only these documents are searched")
    groups: Ids = Field(default=[], description="Group ids; only what was opened to one of these is searched")


class RetrieveBody(BaseModel):
    """What the workflow sends: the body it received from the gateway, as the operator left it."""

    question: str
    history: Many[_Turn] = []
    user: _User = _User()
    filters: _Filters | None = Field(default=None, description="Narrow the search; an empty list does not")
    request_id: str = Field(default="", max_length=100)
    execution_id: str = Field(default="", max_length=100, description="Given back, so that the gateway can stop it")
    limit: int | None = Field(default=None, ge=1, le=50)

    def as_question(self, limits: Limits) -> Question:
        """The question with its history; raises `EmptyQuestion` or `RequestTooLarge`."""
        user = User(id=self.user.id, groups=tuple(self.user.groups))
        history = [Message(role=turn.role, content=turn.content) for turn in self.history]
        wanted = self.filters or _Filters()
        filters = Filters(documents=tuple(wanted.documents), groups=tuple(wanted.groups))
        return bounded_question(self.question, history, user, limits, filters)


def retrieve_api(
    retriever: Retriever,
    authorize: Callable[[Request], None],
    limits: Limits,
    retrievals: Retrievals | None = None,
) -> APIRouter:
    """The retrieval route; `authorize` raises for a caller without the internal key.

    What was retrieved, or why nothing could be, is written down in `retrievals` where they are given.
    """
    api = APIRouter(tags=["retrieval"])

    @api.post("/retrieve")
    async def retrieve(request: Request) -> Response:
        authorize(request)
        body = await read_body(request, RetrieveBody, limits)
        try:
            found = await retriever.retrieve(body.as_question(limits), limit=body.limit)
        except RaglineError as error:
            if retrievals:
                await retrievals.put_failure(body.request_id, error)
            raise
        if retrievals:
            characters = len(found.prompt.system) + len(found.prompt.text)
            await retrievals.put(body.request_id, Retrieved(found.basis, characters))
        # As it is, without FastAPI's walk through it: the prompt alone is most of a retrieval's bytes.
        return Response(orjson.dumps(_render(found, body)), media_type="application/json")

    return api


def _render(found: Retrieval, body: RetrieveBody) -> dict[str, Any]:
    return {
        "request_id": body.request_id,
        "execution_id": body.execution_id,
        "system": found.prompt.system,
        "prompt": found.prompt.text,
        "sources": [to_source(citation) for citation in found.citations],
        "passages": [_passage(passage) for passage in found.passages],
        "timings": {name: value for name, value in asdict(found.timings).items() if value is not None},
    }


def _passage(passage: Passage) -> dict[str, Any]:
    return {
        "chunk_id": passage.chunk.id,
        "document_id": passage.document.id,
        "title": passage.document.title,
        "section": list(passage.chunk.section),
        "page": passage.chunk.page,
        "score": round(passage.score, 5),
        "relevance": round(passage.relevance, 4),
    }
