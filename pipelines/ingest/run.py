"""The way of one document, a stage a line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.domain import IndexedDocument
from pipelines.ingest.chunk import chunk_document
from pipelines.ingest.embed import embed_chunks
from pipelines.ingest.fetch import fetch_document
from pipelines.ingest.index import index_chunks
from pipelines.ingest.parse import parse_document
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.base import ChunkIndex, DocumentSource, SourceEntry


def ingest_document(
    entry: SourceEntry,
    source: DocumentSource,
    *,
    access: Sequence[str],
    embedding: EmbeddingProvider,
    index: ChunkIndex,
    max_bytes: int,
    media_type: str = "",
) -> IndexedDocument:
    """Make one document searchable for those with one of the `access` scopes; blocks while it computes.

    Raises:
        DocumentRejected: the document cannot be read; the index is as it was.
        StoreUnavailable: the index failed.
    """
    document, data = fetch_document(entry, source, access=access, max_bytes=max_bytes, media_type=media_type)
    document, parsed = parse_document(document, data)
    chunks = chunk_document(document, parsed, count_tokens=embedding.count_tokens, max_tokens=embedding.max_tokens)
    vectors = embed_chunks(chunks, embedding)
    return index_chunks(document, chunks, vectors, index, pages=parsed.pages)
