"""The retriever as it is shipped in, the same retriever with parts of it taken out, by name, out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from pipelines.answer.retrieve import Retriever
from pipelines.domain import Passage
from pipelines.errors import InvalidRequest
from pipelines.stores.base import ChunkIndex, SearchRequest, Weights
from pipelines.stores.generations import Generation

ABLATIONS: Mapping[str, str] = {
    "bm25": "BM25 only",
    "dense": "dense only",
    "hybrid": "hybrid",
    "understand": "+ understanding",
    "rerank": "+ rerank",
}
"""What each is called where people read it, from the barest to the whole."""

SHIPPED = "understand"
"""What readers get unless a reranker is configured."""

_WEIGHTS = {
    "bm25": Weights(dense=0, preferred_dense=0, preferred_bm25=0),
    "dense": Weights(bm25=0, preferred_dense=0, preferred_bm25=0),
    "hybrid": Weights(preferred_dense=0, preferred_bm25=0),
}


def chosen(names: str) -> tuple[str, ...]:
    """The ablations of a list with commas, from the barest to the whole.

    Raises:
        InvalidRequest: one of them is none.
    """
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if unknown := sorted(wanted - ABLATIONS.keys()):
        raise InvalidRequest(f"There is no ablation {unknown[0]}: choose from {', '.join(ABLATIONS)}.")
    return tuple(name for name in ABLATIONS if name in wanted)


def ablate(retriever: Retriever, name: str) -> Retriever:
    """The retriever without what this ablation leaves out."""
    if name not in _WEIGHTS:
        return retriever
    live = retriever.generations.live
    index = cast(ChunkIndex, _Weighed(live.index, _WEIGHTS[name]))
    return replace(retriever, generations=_Fixed(replace(live, index=index)))


@dataclass(frozen=True, slots=True)
class _Fixed:
    live: Generation


class _Weighed:
    def __init__(self, index: ChunkIndex, weights: Weights) -> None:
        self._index = index
        self._weights = weights

    def search(self, request: SearchRequest) -> list[Passage]:
        return self._index.search(replace(request, weights=self._weights))

    def __getattr__(self, name: str) -> object:
        return getattr(self._index, name)
