"""What tests of every chunk index share: documents made of a few words, put in and found again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from pipelines.domain import EVERYONE, Chunk, Document, IndexedDocument
from pipelines.stores.base import ChunkIndex, SearchRequest
from tests.fakes.word_embedding import WordEmbedding

EMBEDDING = WordEmbedding()

Open = Callable[[], ChunkIndex]
"""Opens the same index again and again, as a restart does."""


def a_document(name: str = "policy.md", *, access: Sequence[str] = (EVERYONE,), revision: str = "r1") -> Document:
    origin = f"file:///documents/{name}"
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, origin))
    return Document(identity, name.removesuffix(".md"), origin, "text/markdown", revision, 100, tuple(access))


def chunks_of(document: Document, *texts: str) -> list[Chunk]:
    return [
        Chunk(
            id=str(uuid.uuid5(uuid.UUID(document.id), f"{document.content_hash} {ordinal} {text}")),
            document_id=document.id,
            ordinal=ordinal,
            text=text,
            title=document.title,
            section=("Rules", "Money"),
            page=ordinal + 1,
        )
        for ordinal, text in enumerate(texts)
    ]


def stage(index: ChunkIndex, document: Document, chunks: Sequence[Chunk]) -> None:
    vectors = EMBEDDING.embed([chunk.context for chunk in chunks], input_type="document")
    index.stage(document, chunks, list(vectors))


def publish(index: ChunkIndex, document: Document, chunks: int, *, pages: int | None = None) -> None:
    index.publish(IndexedDocument(document, chunks, pages, "2026-11-21T10:00:00+00:00"))


def put(index: ChunkIndex, document: Document, *texts: str, pages: int | None = None) -> list[Chunk]:
    chunks = chunks_of(document, *texts)
    stage(index, document, chunks)
    publish(index, document, len(chunks), pages=pages)
    return chunks


def a_request(question: str, *scopes: str, limit: int = 8) -> SearchRequest:
    vector = EMBEDDING.embed([question], input_type="question")[0]
    return SearchRequest(question, vector, scopes or (EVERYONE,), limit=limit)


def found(index: ChunkIndex, question: str, *scopes: str) -> list[str]:
    return [passage.chunk.text for passage in index.search(a_request(question, *scopes))]
