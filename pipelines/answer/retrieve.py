"""Finds the passages for a question and writes the prompt: a `Question` goes in, a `Retrieval` comes out.

The reader's access scopes are part of the one search there is; nothing is filtered afterwards.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from pipelines.answer.prompt import number_citations, render_prompt
from pipelines.answer.understand import search_text
from pipelines.domain import Citation, Passage, Prompt, Question, Timings
from pipelines.stores.base import SearchRequest
from pipelines.stores.generations import Generation

MIN_RELEVANCE = 0.2
"""Passages below this cosine similarity share hardly a word or a meaning with the question (MiniLM, measured on the
handbook: right passages 0.35 to 0.8, passages for unanswerable questions mostly under 0.3)."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What retrieval found, and the prompt made of it."""

    prompt: Prompt
    passages: tuple[Passage, ...]
    citations: tuple[Citation, ...]
    timings: Timings


class LiveIndex(Protocol):
    """Where questions are answered from."""

    @property
    def live(self) -> Generation: ...


@dataclass(frozen=True, slots=True)
class Retriever:
    """Searches the live generation of the index, with the embedding model it was built with."""

    generations: LiveIndex
    limit: int

    async def retrieve(self, question: Question, *, limit: int | None = None) -> Retrieval:
        """Return the passages this user may read, best first, numbered, with the prompt that quotes them."""
        return await asyncio.to_thread(self._retrieve, question, limit or self.limit)

    def _retrieve(self, question: Question, limit: int) -> Retrieval:
        started = time.perf_counter()
        # Read once: a rebuilt index may become live while this question is answered.
        live = self.generations.live
        text = search_text(question)
        understood = time.perf_counter()
        vector = live.embedding.embed([text], input_type="question")[0]
        embedded = time.perf_counter()
        found = live.index.search(SearchRequest(text=text, vector=vector, scopes=question.user.scopes(), limit=limit))
        searched = time.perf_counter()
        passages = tuple(passage for passage in found if passage.relevance >= MIN_RELEVANCE)
        citations = number_citations(passages)
        prompt = render_prompt(question, passages)
        timings = Timings(
            understand_ms=_ms(started, understood),
            embed_ms=_ms(understood, embedded),
            search_ms=_ms(embedded, searched),
            retrieve_ms=_ms(started, time.perf_counter()),
        )
        return Retrieval(prompt=prompt, passages=passages, citations=citations, timings=timings)


def _ms(start: float, end: float) -> float:
    return round((end - start) * 1000, 3)
