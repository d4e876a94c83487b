"""Chunks in, the same chunks with their vectors out, batch by batch and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future

from pipelines.domain import Chunk, Vector
from pipelines.errors import Unavailable
from pipelines.providers.base import EmbeddingProvider

BATCH = 32
"""Chunks in one batch: about a second of work, so that every core has some and little is held in memory."""

EmbeddedBatch = tuple[Sequence[Chunk], Sequence[Vector]]


def embed_chunks(
    chunks: Sequence[Chunk], embedding: EmbeddingProvider, *, threads: Executor, ahead: int
) -> Iterator[EmbeddedBatch]:
    """Embed every chunk with the place it stands in, which a question may name and its text need not.

    Batches are embedded by `threads`, at most `ahead` of them before the first is taken.

    Raises:
        Unavailable: `threads` were shut down meanwhile.
    """

    def embed(batch: Sequence[Chunk]) -> EmbeddedBatch:
        return batch, list(embedding.embed([chunk.context for chunk in batch], input_type="document"))

    waiting: deque[Future[EmbeddedBatch]] = deque()
    try:
        for start in range(0, len(chunks), BATCH):
            waiting.append(_submit(threads, embed, chunks[start : start + BATCH]))
            if len(waiting) >= ahead:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        for future in waiting:
            future.cancel()


def _submit(
    threads: Executor, embed: Callable[[Sequence[Chunk]], EmbeddedBatch], batch: Sequence[Chunk]
) -> Future[EmbeddedBatch]:
    try:
        return threads.submit(embed, batch)
    except RuntimeError as error:
        raise _stopping() from error


def _result(future: Future[EmbeddedBatch]) -> EmbeddedBatch:
    try:
        return future.result()
    except CancelledError as error:
        raise _stopping() from error


def _stopping() -> Unavailable:
    return Unavailable("Ragline is stopping; the document is read when it runs again.")
