"""Chunks in, the same chunks with their vectors out, batch by batch and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future

from pipelines.domain import Chunk, Vector
from pipelines.providers.base import EmbeddingProvider

BATCH = 32
"""Chunks in one batch: about a second of work, so that every core has some and little is held in memory."""

EmbeddedBatch = tuple[Sequence[Chunk], Sequence[Vector]]


def embed_chunks(
    chunks: Sequence[Chunk], embedding: EmbeddingProvider, *, threads: Executor, ahead: int
) -> Iterator[EmbeddedBatch]:
    """Embed every chunk with the place it stands in, which a question may name and its text need not.

    Batches are embedded by `threads`, at most `ahead` of them before the first is taken.
    """

    def embed(batch: Sequence[Chunk]) -> EmbeddedBatch:
        return batch, list(embedding.embed([chunk.context for chunk in batch], input_type="document"))

    waiting: deque[Future[EmbeddedBatch]] = deque()
    try:
        for start in range(0, len(chunks), BATCH):
            waiting.append(threads.submit(embed, chunks[start : start + BATCH]))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
