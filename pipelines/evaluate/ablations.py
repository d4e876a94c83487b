"""The retriever as it is shipped in, the same retriever with parts of it taken out, by name, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipelines.answer.retrieve import RetrieveOptions, Retriever
from pipelines.errors import InvalidRequest
from pipelines.stores.base import Weights

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

_OPTIONS: Mapping[str, RetrieveOptions] = {
    "bm25": RetrieveOptions(understand=False, rerank=False, weights=Weights(0, 1, 0, 0)),
    "dense": RetrieveOptions(understand=False, rerank=False, weights=Weights(1, 0, 0, 0)),
    "hybrid": RetrieveOptions(understand=False, rerank=False, weights=Weights(1, 1, 0, 0)),
    "understand": RetrieveOptions(rerank=False),
    "rerank": RetrieveOptions(),
}


def chosen(names: str, *, reranked: bool) -> tuple[str, ...]:
    """The ablations of a list with commas, from the barest to the whole; without a list all that there are.

    Raises:
        InvalidRequest: one of them is none, or needs a reranker, and none is configured.
    """
    possible = tuple(name for name in ABLATIONS if reranked or name != "rerank")
    wanted = {name.strip() for name in names.split(",") if name.strip()} or set(possible)
    if unknown := sorted(wanted - ABLATIONS.keys()):
        raise InvalidRequest(f"There is no ablation {unknown[0]}: choose from {', '.join(ABLATIONS)}.")
    if not wanted.issubset(possible):
        raise InvalidRequest("There is no reranker to measure: name one in RERANK_MODEL.")
    return tuple(name for name in possible if name in wanted)


def ablate(retriever: Retriever, name: str) -> Retriever:
    """The retriever without what this ablation leaves out."""
    return replace(retriever, options=_OPTIONS[name])


def fullest(names: Sequence[str]) -> str:
    """Which of some ablations stands for them all: the shipped one, else the last."""
    return SHIPPED if SHIPPED in names else names[-1]
