"""What a search is made of: a `SearchRequest` goes in, the rankings that are fused come out, for any index alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.stores.base import SearchRequest, spread
from pipelines.stores.payload import BM25, DENSE


@dataclass(frozen=True, slots=True)
class Ranking:
    """One ranking of the fusion: by the request's vector where `using` is DENSE, else by the words of `text`.

    `documents` are those that it is narrowed to; none: all that the reader may read.
    """

    weight: float
    using: str
    text: str = ""
    documents: Sequence[str] = ()


def rankings(request: SearchRequest) -> list[Ranking]:
    """Those that count: a ranking of weight 0 is not made."""
    weights = request.weights
    made = [Ranking(weights.dense, DENSE), Ranking(weights.bm25, BM25, request.text)]
    for documents in spread(request.preferred):
        made.append(Ranking(weights.preferred_dense, DENSE, "", documents))
        made.append(Ranking(weights.preferred_bm25, BM25, request.focus or request.text, documents))
    return [ranking for ranking in made if ranking.weight > 0]
