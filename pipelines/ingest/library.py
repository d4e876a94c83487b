"""The documents of this deployment for whoever serves requests: the ingest stages without blocking the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pipelines.domain import IndexedDocument
from pipelines.ingest.fetch import Upload
from pipelines.ingest.run import ingest_document
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.base import ChunkIndex


class Library:
    """Puts in, lists and takes out documents. One is ingested at a time: questions share the same cores."""

    def __init__(self, *, index: ChunkIndex, embedding: EmbeddingProvider, max_bytes: int) -> None:
        self._index = index
        self._embedding = embedding
        self._max_bytes = max_bytes
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest")

    async def add(self, content: bytes, *, origin: str, media_type: str, access: Sequence[str]) -> IndexedDocument:
        """Make one document searchable, replacing its earlier version; raises `DocumentRejected` with the reason."""
        return await asyncio.get_running_loop().run_in_executor(
            self._worker, self._ingest, Upload(origin, content, media_type), tuple(access)
        )

    async def list(self) -> list[IndexedDocument]:
        """Every document, by title."""
        return await asyncio.to_thread(self._index.documents)

    async def remove(self, document_id: str) -> bool:
        """Take out one document; False when there is none of that id."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._index.remove, document_id)

    def close(self) -> None:
        """Finish the document at work and take no more."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _ingest(self, upload: Upload, access: tuple[str, ...]) -> IndexedDocument:
        return ingest_document(
            upload.entry,
            upload,
            access=access,
            embedding=self._embedding,
            index=self._index,
            max_bytes=self._max_bytes,
            media_type=upload.media_type,
        )
