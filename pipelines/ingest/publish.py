"""Brings the index in line with the registry, a document at a time and under the lock of its row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pipelines.domain import DocumentRecord, IndexedDocument
from pipelines.ingest.run import StagedDocument
from pipelines.stores.base import SourceEntry, UploadStore
from pipelines.stores.generations import Generation
from pipelines.stores.registry import Registry
from pipelines.stores.registry_rows import Finished

AT_ONCE = 500
"""Documents whose readers have changed that are asked for at once."""


def publish_document(
    staged: StagedDocument, entry: SourceEntry, registry: Registry, *, claimed: DocumentRecord | None = None
) -> None:
    """Let readers find a staged document instead of its earlier revision, and confirm it in the registry.

    One that was removed meanwhile is forgotten instead, and so is one that another worker has published since it was
    `claimed`: this one has lost its hold on it. Readers are those of the registry at this very moment.

    Raises:
        StoreUnavailable: the document is as it was, or is published and will be again.
    """
    document = staged.document
    with registry.locked(document.id) as row:
        if row is None or row.record.state == "removing" or not is_still_held(claimed, row.record):
            for generation in staged.generations:
                generation.index.discard(document.id)
            return
        readable = replace(document, access=row.record.access)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for generation, chunks in zip(staged.generations, staged.chunks, strict=True):
            generation.index.publish(IndexedDocument(readable, chunks, staged.pages, now))
        row.finish(
            Finished(
                version=entry.version,
                title=document.title,
                media_type=document.media_type,
                size=document.size,
                content_hash=document.content_hash,
                pages=staged.pages,
                unread_pages=staged.unread,
                problem=staged.problem,
                chunks=staged.chunks[0],
                indexed_with=staged.generations[0].recipe,
                generations=tuple(generation.id for generation in staged.generations),
            )
        )


def is_still_held(claimed: DocumentRecord | None, now: DocumentRecord) -> bool:
    """False where a worker's hold has ended with its connection, and another one has published the document since."""
    return claimed is None or claimed.indexed_at == now.indexed_at


def apply_access(document_ids: Sequence[str], generations: Sequence[Generation], registry: Registry) -> None:
    """Let the readers that the registry names, and no others, find these documents from the next question on.

    `generations` are all that are kept. Raises `StoreUnavailable`; the registry then says that it is still to be done.
    """
    for document_id in document_ids:
        with registry.locked(document_id) as row:
            if row is not None:
                for generation in generations:
                    generation.index.set_access(document_id, row.record.access)
                row.access_told()


def apply_due_access(kept: Callable[[], Sequence[Generation]], registry: Registry) -> None:
    """`apply_access` for every document whose readers have changed since the index was told."""
    while due := registry.access_due(AT_ONCE):
        apply_access(due, kept(), registry)


def remove_document(
    document_id: str, generations: Sequence[Generation], registry: Registry, uploads: UploadStore
) -> None:
    """Remove what is left of a document that is on its way out: from the index, what was kept of it, and its row.

    Raises:
        Unavailable: something is left; it is done again.
    """
    with registry.locked(document_id) as row:
        if row is None or row.record.state != "removing":
            return
        for generation in generations:
            generation.index.remove(document_id)
        if row.record.source == uploads.url:
            uploads.delete(row.record.origin)
        row.delete()
