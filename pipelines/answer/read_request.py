"""Reads what a client sent: bytes go in, a valid body comes out, or one typed error that says what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, Field, ValidationError

from pipelines.domain import NO_FILTERS, Filters, Message, Question, User
from pipelines.errors import EmptyQuestion, InvalidRequest, RequestTooLarge, UnsupportedMediaType

Body = TypeVar("Body", bound=BaseModel)

Item = TypeVar("Item")
Many = Annotated[list[Item], Field(fail_fast=True)]
"""A list of any length, read up to its first mistake: to note two million costs 20 s and gigabytes (pydantic 2.14)."""

_PLACE_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may bring. History beyond `history_turns` is left out, not refused."""

    request_bytes: int
    question_chars: int
    history_turns: int
    history_chars: int = 4_000


class _Part(BaseModel):
    type: str
    text: str = ""


class _Turn(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Many[_Part] | None = None

    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class ChatBody(BaseModel):
    """OpenAI's chat completion request, as far as it is used here."""

    model: str = Field(max_length=200)
    messages: Many[_Turn] = Field(min_length=1)
    stream: bool = False

    def turns(self) -> tuple[Message, ...]:
        """The conversation, with roles that a model provider knows."""
        return tuple(
            Message(role=turn.role if turn.role in ("user", "assistant") else "system", content=turn.text())
            for turn in self.messages
        )

    def question(self, user: User, limits: Limits) -> Question:
        """The last user turn, with the turns before it."""
        turns = [turn for turn in self.turns() if turn.role != "system"]
        if not turns or turns[-1].role != "user":
            raise InvalidRequest("The last message must come from the user.")
        return bounded_question(turns[-1].content, tuple(turns[:-1]), user, limits)


class AnswerBody(BaseModel):
    """The request of `POST /answer`."""

    question: str
    history: Many[_Turn] = []
    model: str | None = Field(default=None, max_length=200)
    session_id: str | None = Field(default=None, max_length=200)
    k: int | None = Field(default=None, ge=1, le=50, description="How many passages to retrieve")

    def as_question(self, user: User, limits: Limits) -> Question:
        """The question with its history."""
        history = tuple(
            Message(role=turn.role, content=turn.text()) for turn in self.history if turn.role in ("user", "assistant")
        )
        return bounded_question(self.question, history, user, limits)


async def read_body(request: Request, kind: type[Body], limits: Limits) -> Body:
    """Return the request's JSON body as `kind`.

    Raises:
        UnsupportedMediaType: it is not announced as JSON.
        RequestTooLarge: it is longer than `limits.request_bytes`.
        InvalidRequest: it is not JSON, or a field is missing or wrong.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise UnsupportedMediaType("Send the request as `Content-Type: application/json`.")
    raw = await _read(request, limits.request_bytes)
    try:
        return kind.model_validate(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The request is not valid JSON: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])[:_PLACE_CHARACTERS]
        raise InvalidRequest(f"The field '{place}' is wrong: {first['msg']}.") from error


def bounded_question(
    text: str, history: Sequence[Message], user: User, limits: Limits, filters: Filters = NO_FILTERS
) -> Question:
    """The question as far as it is answered: the last turns before it, each up to `limits.history_chars`.

    Raises:
        EmptyQuestion: it says nothing.
        RequestTooLarge: it is longer than `limits.question_chars`.
    """
    if not text.strip():
        raise EmptyQuestion("The question is empty; write what you want to know.")
    if len(text) > limits.question_chars:
        raise RequestTooLarge(f"The question is longer than {limits.question_chars} characters; shorten it.")
    kept = history[-2 * limits.history_turns :] if limits.history_turns else ()
    short = tuple(Message(role=turn.role, content=turn.content[: limits.history_chars]) for turn in kept)
    return Question(text=text.strip(), user=user, history=short, filters=filters)


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise RequestTooLarge(f"The request is larger than {limit // 1024} KB; shorten it or start a new chat.")
    return bytes(body)
