"""What a prompt rests on, by the request id of its turn: `/retrieve` writes it down, the answer cache reads it.

The two are called apart by the workflow. Who may read what never comes from the workflow's own words to the model, but
from the retrieval that was made for this turn.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from pipelines.answer.failure import Failure
from pipelines.domain import Question, User, user_scope
from pipelines.errors import RaglineError
from pipelines.stores.cache import Cache
from pipelines.stores.catalog import Catalog
from pipelines.stores.generations import Generation

TTL_S = 900.0
"""Longer than an answer may take (`ANSWER_DEADLINE_S` and the model's queue)."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What an answer depends on beside its prompt.

    `access` is the same for readers who hold the same scopes and ask with the same filters, `corpus` for the same
    documents with the same readers in the same index.
    """

    access: str
    corpus: str


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A retrieval's basis, and how long its prompt is, system message included: for an estimate where nobody counts."""

    basis: Basis
    prompt_characters: int


def basis_of(question: Question, live: Generation, catalog: Catalog) -> Basis:
    """The basis of what `question` finds in `live`. Taken before the search: a change meanwhile makes a new one."""
    corpus = _digest([live.id, live.embedding.name, live.recipe, catalog.fingerprint])
    filters = question.filters
    wanted = [sorted(set(filters.documents)), sorted(set(filters.groups))]
    return Basis(_digest([_telling_scopes(question.user, catalog), *wanted]), corpus)


class Retrievals:
    """The bases of recent retrievals. Where a cache is shared, any replica may run the model."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def put(self, request_id: str, retrieved: Retrieved) -> None:
        """Write down what was retrieved for this turn; nothing for a caller without a request id."""
        if request_id:
            await self._cache.put(_key(request_id), _RETRIEVED.dump_json(retrieved), ttl_s=TTL_S)

    async def get(self, request_id: str) -> Retrieved | None:
        """What was retrieved for this turn; None when nothing was, or it is long ago."""
        told = await self._cache.get(_key(request_id)) if request_id else None
        try:
            return _RETRIEVED.validate_json(told) if told else None
        except ValidationError:
            return None

    async def put_failure(self, request_id: str, error: RaglineError) -> None:
        """Write down why nothing could be retrieved for this turn: the workflow only says that its step failed."""
        if request_id:
            await self._cache.put(f"{_key(request_id)}:failure", _told(error), ttl_s=TTL_S)

    async def failure(self, request_id: str) -> RaglineError | None:
        """Why nothing could be retrieved for this turn, if that is what happened."""
        told = await self._cache.get(f"{_key(request_id)}:failure") if request_id else None
        try:
            return Failure.model_validate_json(told).error() if told else None
        except ValidationError:
            return None


_RETRIEVED = TypeAdapter(Retrieved)


def _told(error: RaglineError) -> bytes:
    return Failure.of(error).model_dump_json().encode()


def _telling_scopes(user: User, catalog: Catalog) -> list[str]:
    """The scopes by which readers are told apart: all groups, and the person where anything is open to just him.

    Everybody holds a scope of his own. Where no document names it, two members of the same groups may read the same,
    and one may have the answer that the other got; a document that is opened to one of them changes the corpus too.
    """
    own = user_scope(user.id)
    return sorted({scope for scope in user.scopes() if scope != own or catalog.opens_to(own)})


def _key(request_id: str) -> str:
    return f"retrieval:{request_id}"


def _digest(told: object) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
