"""Open WebUI's shape of a citation, both ways.

Open WebUI numbers citations by the distinct `metadata[].source` values in order, so one citation is one source whose
passages all carry the same key. `page` counts from zero there (0.12.4).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from pipelines.domain import Citation
from pipelines.errors import WorkflowFailed


class _Named(BaseModel):
    id: str = Field(max_length=512)
    name: str = Field(max_length=2048)


class _Metadata(BaseModel):
    source: str = Field(max_length=512)
    name: str = Field(max_length=2048)
    page: int | None = None


class _Source(BaseModel):
    source: _Named
    document: list[str] = Field(max_length=100)
    metadata: list[_Metadata] = Field(max_length=100)
    distances: list[float] = Field(max_length=100)


def to_source(citation: Citation) -> dict[str, Any]:
    """Render one citation as Open WebUI's `source`."""
    metadata: dict[str, Any] = {"source": citation.key, "name": citation.name}
    if citation.page is not None:
        metadata["page"] = citation.page - 1
    return {
        "source": {"id": citation.document_id, "name": citation.name},
        "document": list(citation.passages),
        "metadata": [metadata for _ in citation.passages],
        "distances": [round(relevance, 4) for relevance in citation.relevances],
    }


def read_sources(values: object) -> tuple[Citation, ...]:
    """Read what a workflow sent back as citations, in order; raises `WorkflowFailed` when it has another shape.

    Sources of the same page become one citation, as Open WebUI counts them: its numbers and ours stay the same.
    """
    if not isinstance(values, list):
        raise WorkflowFailed("The workflow must send its sources as a list.")
    try:
        sources = [_Source.model_validate(value) for value in values]
    except ValidationError as error:
        raise WorkflowFailed(
            "The workflow sent sources that are not citations; restore its `Send citations` step."
        ) from error
    citations: dict[str, Citation] = {}
    for source in sources:
        citation = _citation(len(citations) + 1, source)
        known = citations.get(citation.key)
        citations[citation.key] = _joined(known, citation) if known else citation
    return tuple(citations.values())


def _joined(known: Citation, more: Citation) -> Citation:
    return replace(
        known,
        passages=(*known.passages, *more.passages),
        relevances=(*known.relevances, *more.relevances),
    )


def _citation(number: int, source: _Source) -> Citation:
    page = source.metadata[0].page if source.metadata else None
    return Citation(
        number=number,
        document_id=source.source.id,
        page=None if page is None else page + 1,
        name=source.source.name,
        passages=tuple(source.document),
        relevances=tuple(min(1.0, max(0.0, distance)) for distance in source.distances),
    )
