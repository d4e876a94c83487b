"""Chunks and vectors in; the document is searchable when this returns."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.domain import Chunk, Document, IndexedDocument, Vector
from pipelines.stores.base import ChunkIndex


def index_chunks(
    document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vector], index: ChunkIndex, *, pages: int | None
) -> IndexedDocument:
    """Put the document into the index in place of what it had there before.

    Raises:
        StoreUnavailable: the index cannot take it.
    """
    return index.put(document, chunks, vectors, pages=pages)
