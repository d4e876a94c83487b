"""Rankings in, measures a question out: how well retrieval found the right pages and the right documents.

Pages are ranked in the order of their first passage, each once. For documents the rank is that of the passage: a
right document at rank 5 is that of the fifth passage. Every question of a level counts, also one that found nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ir_measures
from ir_measures import RR, Measure, Qrel, R, ScoredDoc, Success, nDCG

from pipelines.evaluate.resolve import JudgedQuestion

_AT_LEVEL: Mapping[str, Measure] = {
    "hit@1": Success @ 1,
    "hit@5": Success @ 5,
    "hit@10": Success @ 10,
    "R@5": R @ 5,
    "R@10": R @ 10,
    "RR@10": RR @ 10,
    "nDCG@10": nDCG @ 10,
}
MEASURES: tuple[str, ...] = tuple(f"{level}_{name}" for level in ("page", "document") for name in _AT_LEVEL)
"""Success (a right one in the first k), recall, reciprocal rank and nDCG, as ir-measures defines them, by level."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """What was found for a question: the document's key and the page's name of each passage, best first."""

    judged: JudgedQuestion
    documents: Sequence[str]
    pages: Sequence[str]


def score(rankings: Sequence[Ranking]) -> list[dict[str, float]]:
    """The measures of each ranking by name, 0 to 1; without those of a level at which nothing right is known."""
    pages = _score("page", [(ranking.judged.pages, list(dict.fromkeys(ranking.pages))) for ranking in rankings])
    documents = _score("document", [(each.judged.documents, _first_at_its_rank(each.documents)) for each in rankings])
    return [{**of_pages, **of_documents} for of_pages, of_documents in zip(pages, documents, strict=True)]


def _score(level: str, judged: Sequence[tuple[Mapping[str, int], Sequence[str]]]) -> list[dict[str, float]]:
    values: list[dict[str, float]] = [
        {f"{level}_{name}": 0.0 for name in _AT_LEVEL} if right else {} for right, _ in judged
    ]
    right_ones = [
        Qrel(str(number), name, grade) for number, (right, _) in enumerate(judged) for name, grade in right.items()
    ]
    found = [
        ScoredDoc(str(number), name, -float(rank))
        for number, (right, ranked) in enumerate(judged)
        if right
        for rank, name in enumerate(ranked)
    ]
    if found:
        names = {measure: name for name, measure in _AT_LEVEL.items()}
        for metric in ir_measures.iter_calc(list(_AT_LEVEL.values()), right_ones, found):
            values[int(metric.query_id)][f"{level}_{names[metric.measure]}"] = float(metric.value)
    return values


def _first_at_its_rank(documents: Sequence[str]) -> list[str]:
    """Keep the rank of each document's first passage: later ones become names that nothing right has."""
    return [name if name not in documents[:rank] else f"{name}\n{rank}" for rank, name in enumerate(documents)]
