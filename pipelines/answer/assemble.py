"""Ranked passages in, those that a prompt holds out: no near-duplicates, neighbours merged, cut to the limit."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from pipelines.answer.words import significant_words, stem, words
from pipelines.domain import Chunk, Passage
from pipelines.stores.base import Place

MIN_RELEVANCE = 0.2
"""Passages below this cosine similarity share hardly a meaning with the question (MiniLM, measured on the handbook:
right passages 0.35 to 0.8, passages for unanswerable questions mostly under 0.3). One that shares a word stays."""
ALIKE = 0.9
"""Passages that share at least this part of their words (Jaccard), and all their numbers, say the same."""
WIDENED = 2
"""So many of the best passages get what stands right before and behind them in their section."""
OVERLAP_CHARACTERS = 400
"""No more than this is repeated where a paragraph was cut (`ingest.chunk`)."""

ReadChunks = Callable[[Sequence[Place]], Sequence[Chunk]]


def relevant(passages: Sequence[Passage], question: str) -> list[Passage]:
    """The passages that share a meaning or a word with the question; before they are reranked, which rates anew."""
    asked = {stem(word) for word in significant_words(question)}
    return [
        passage
        for passage in passages
        if passage.relevance >= MIN_RELEVANCE or not asked.isdisjoint(map(stem, words(passage.chunk.context)))
    ]


def assemble(
    passages: Sequence[Passage], *, limit: int, distinct: Collection[str], read: ReadChunks
) -> tuple[Passage, ...]:
    """The passages for a prompt, best first, at most `limit`.

    Those of the `distinct` documents are kept even where they say the same: the question asks for each. `read` reads
    chunks as the reader may.
    """
    chosen = _without_repetitions(passages, limit, distinct)
    return tuple(_merged(_widened(chosen, read)))


def _without_repetitions(passages: Sequence[Passage], limit: int, distinct: Collection[str]) -> list[Passage]:
    kept: list[Passage] = []
    # By their numbers, in order: only texts that have the same can be alike, and few have.
    said: dict[tuple[str, ...], list[Passage]] = {}
    for passage in passages:
        alike = said.setdefault(tuple(re.findall(r"\d+", passage.chunk.text)), [])
        if passage.document.id in distinct or not any(_is_alike(passage, other) for other in alike):
            kept.append(passage)
            alike.append(passage)
        if len(kept) == limit:
            break
    return kept


def _is_alike(one: Passage, other: Passage) -> bool:
    shorter, longer = sorted((_words(one), _words(other)), key=len)
    if len(shorter) < ALIKE * len(longer):
        return False
    return len(shorter & longer) >= ALIKE * len(shorter | longer)


def _words(passage: Passage) -> set[str]:
    return set(re.findall(r"\w+", passage.chunk.text.casefold()))


def _widened(passages: Sequence[Passage], read: ReadChunks) -> list[Passage]:
    """The passages, and as passages of their own the neighbours of the best ones; these are merged in later."""
    there = {(each.document.id, each.chunk.ordinal) for each in passages}
    beside = [
        Place(each.document.id, ordinal)
        for each in passages[:WIDENED]
        for ordinal in (each.chunk.ordinal - 1, each.chunk.ordinal + 1)
        if ordinal >= 0 and (each.document.id, ordinal) not in there
    ]
    found = {(chunk.document_id, chunk.ordinal): chunk for chunk in read(tuple(dict.fromkeys(beside)))}
    widened = list(passages)
    for each in passages[:WIDENED]:
        for ordinal in (each.chunk.ordinal - 1, each.chunk.ordinal + 1):
            chunk = found.pop((each.document.id, ordinal), None)
            if chunk and _stand_together(chunk, each.chunk):
                widened.append(replace(each, chunk=chunk))
    return widened


def _merged(passages: Sequence[Passage]) -> list[Passage]:
    """Neighbours become one passage, in the place and with the relevance of the best of them."""
    place = {id(passage): rank for rank, passage in enumerate(passages)}
    runs: list[list[Passage]] = []
    for passage in sorted(passages, key=lambda each: (each.document.id, each.chunk.ordinal)):
        if runs and _follow(runs[-1][-1].chunk, passage.chunk):
            runs[-1].append(passage)
        else:
            runs.append([passage])
    ranked = sorted(runs, key=lambda run: min(place[id(each)] for each in run))
    return [_joined(run, min(run, key=lambda each: place[id(each)])) for run in ranked]


def _follow(before: Chunk, behind: Chunk) -> bool:
    return behind.ordinal == before.ordinal + 1 and _stand_together(before, behind)


def _stand_together(one: Chunk, other: Chunk) -> bool:
    return (one.document_id, one.page, one.section) == (other.document_id, other.page, other.section)


def _joined(run: Sequence[Passage], best: Passage) -> Passage:
    if len(run) == 1:
        return best
    text = run[0].chunk.text
    for passage in run[1:]:
        text = _append(text, passage.chunk.text)
    return replace(best, chunk=replace(best.chunk, text=text))


def _append(text: str, behind: str) -> str:
    """Join two neighbours, without the sentence that is repeated where a paragraph was cut."""
    for size in range(min(OVERLAP_CHARACTERS, len(text), len(behind)), 3, -1):
        if text.endswith(behind[:size]):
            return text + behind[size:]
    return f"{text}\n{behind}"
