"""Finds the passages for a question and writes the prompt: a `Question` goes in, a `Retrieval` comes out.

understand → embed → recognise → search → rerank → assemble → prompt

The reader's access scopes are part of every look into the index; nothing is filtered afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from pipelines.answer.assemble import assemble, relevant
from pipelines.answer.embed_questions import QuestionEmbedder
from pipelines.answer.prompt import number_citations, render_prompt
from pipelines.answer.recognise import NO_PREFERENCE, Preference, Recogniser
from pipelines.answer.rerank import Reranker
from pipelines.answer.retrievals import Basis, basis_of
from pipelines.answer.turns import Turns
from pipelines.answer.understand import SEARCH_CHARACTERS, Understood, understand
from pipelines.answer.understand.rewrite import Rewriter
from pipelines.domain import Citation, Passage, Prompt, Question, Timings, Vector
from pipelines.stores.base import SearchRequest, Weights
from pipelines.stores.generations import Generation

SHIPPED = Weights(dense=1.0, bm25=1.0, preferred_dense=2.0, preferred_bm25=2.0)
"""Measured on the development half of the evaluation, see `tests/evals/README.md`."""
CANDIDATES = 100
"""Passages that each ranking brings into the fusion."""
SPARE = 2
"""So many times as many passages are fetched as are wanted: near-duplicates are dropped and neighbours merged."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What retrieval found, the prompt made of it, and what the two rest on."""

    prompt: Prompt
    passages: tuple[Passage, ...]
    citations: tuple[Citation, ...]
    timings: Timings
    basis: Basis


@dataclass(frozen=True, slots=True)
class RetrieveOptions:
    """What retrieval makes use of; for measuring what each is worth."""

    understand: bool = True
    weights: Weights = SHIPPED
    rerank: bool = True


class LiveIndex(Protocol):
    """Where questions are answered from."""

    @property
    def live(self) -> Generation: ...


@dataclass(frozen=True, slots=True)
class Retriever:
    """Searches the live generation of the index, with the embedding model it was built with."""

    generations: LiveIndex
    limit: int
    options: RetrieveOptions = RetrieveOptions()
    rewriter: Rewriter | None = None
    reranker: Reranker | None = None
    recogniser: Recogniser = field(default_factory=Recogniser)
    embedder: QuestionEmbedder = field(default_factory=QuestionEmbedder)
    turns: Turns = field(default_factory=Turns)

    async def retrieve(self, question: Question, *, limit: int | None = None) -> Retrieval:
        """Return the passages this user may read, best first, numbered, with the prompt that quotes them."""
        clock = _Clock()
        # Read once: a rebuilt index may become live while this question is answered.
        live = self.generations.live
        texts = (await self._understand(question)).texts
        clock.mark("understand_ms")
        vectors = await self.embedder.embed(live.embedding, texts)
        clock.mark("embed_ms")
        asked = _Asked(question, texts, tuple(vectors), limit or self.limit)
        parallel = live.index.parallel
        if self.reranker is None or not self.options.rerank:
            return await self.turns.run(parallel, self._find, asked, live, clock)
        found = await self.turns.run(parallel, self._search, asked, live, clock)
        # A model of its own, away from the index: others search meanwhile.
        reranked = await asyncio.to_thread(self.reranker.rerank, " ".join(texts), found.passages)
        clock.mark("rerank_ms")
        return await self.turns.run(parallel, self._assemble, asked, replace(found, passages=reranked), live, clock)

    async def _understand(self, question: Question) -> Understood:
        if not self.options.understand:
            return Understood((question.text[:SEARCH_CHARACTERS],))
        understood = understand(question)
        if understood.needs_model and self.rewriter:
            return understood.led_by(await self.rewriter.rewrite(question))
        return understood

    def _find(self, asked: _Asked, live: Generation, clock: _Clock) -> Retrieval:
        return self._assemble(asked, self._search(asked, live, clock), live, clock)

    def _search(self, asked: _Asked, live: Generation, clock: _Clock) -> _Found:
        scopes = asked.question.user.scopes()
        basis = basis_of(asked.question, live, live.index.catalog())
        preferences = [self._preference(text, live, scopes) for text in asked.texts]
        clock.mark("recognise_ms")
        requests = [
            self._request(asked, text, vector, preference)
            for text, vector, preference in zip(asked.texts, asked.vectors, preferences, strict=True)
        ]
        passages = _interleaved([live.index.search(request) for request in requests])
        clock.mark("search_ms")
        named = frozenset(id_ for preference in preferences for id_ in preference.documents)
        return _Found(relevant(passages, " ".join(asked.texts)), named, basis)

    def _assemble(self, asked: _Asked, found: _Found, live: Generation, clock: _Clock) -> Retrieval:
        scopes = asked.question.user.scopes()
        passages = assemble(
            found.passages,
            limit=asked.limit,
            distinct=found.named,
            read=lambda places: live.index.read(places, scopes),
        )
        citations = number_citations(passages)
        prompt = render_prompt(asked.question, citations)
        clock.mark("assemble_ms")
        return Retrieval(prompt, passages, citations, clock.timings(), found.basis)

    def _preference(self, text: str, live: Generation, scopes: Sequence[str]) -> Preference:
        if not self.options.understand:
            return NO_PREFERENCE
        return self.recogniser.recognise(text, live.index.catalog(), scopes)

    def _request(self, asked: _Asked, text: str, vector: Vector, preference: Preference) -> SearchRequest:
        wanted = max(SPARE * asked.limit, self.reranker.depth if self.reranker else 0)
        return SearchRequest(
            text=text,
            vector=vector,
            scopes=asked.question.user.scopes(),
            limit=wanted,
            candidates=max(CANDIDATES, wanted),
            preferred=preference.documents,
            focus=preference.focus,
            filters=asked.question.filters,
            weights=self.options.weights,
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with the texts to search for, their vectors, and how many passages are wanted."""

    question: Question
    texts: tuple[str, ...]
    vectors: tuple[Vector, ...]
    limit: int


@dataclass(frozen=True, slots=True)
class _Found:
    """The passages found, best first, the documents that the question names, and what that rests on."""

    passages: Sequence[Passage]
    named: frozenset[str]
    basis: Basis


def _interleaved(rankings: Sequence[Sequence[Passage]]) -> list[Passage]:
    """Several rankings as one: the first of each, then the second of each, every chunk once."""
    chosen: dict[str, Passage] = {}
    for rank in range(max(map(len, rankings), default=0)):
        for ranking in rankings:
            if rank < len(ranking):
                chosen.setdefault(ranking[rank].chunk.id, ranking[rank])
    return list(chosen.values())


class _Clock:
    """Where the time of one retrieval went."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._spent: dict[str, float] = {}

    def mark(self, stage: str) -> None:
        now = time.perf_counter()
        self._spent[stage] = _ms(self._last, now)
        self._last = now

    def timings(self) -> Timings:
        return Timings(**self._spent, retrieve_ms=_ms(self._started, time.perf_counter()))


def _ms(start: float, end: float) -> float:
    return round((end - start) * 1000, 3)
