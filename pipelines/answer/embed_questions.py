"""Questions in, their vectors out; those that come while others are being embedded are embedded together.

A model reads its weights from memory once for a batch: eight questions together cost about two thirds of what they
cost one by one, and one thread leaves the other cores to the search. A question that comes alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.providers.base import EmbeddingProvider

BATCH = 8
"""Questions at once: more make the first of them wait longer than they save."""

Vectors = npt.NDArray[np.float32]
_Waiting = tuple[EmbeddingProvider, Sequence[str], "asyncio.Future[Vectors]"]


class QuestionEmbedder:
    """Embeds in a worker thread, a batch at a time. For the tasks of one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._working: asyncio.Task[None] | None = None

    async def embed(self, embedding: EmbeddingProvider, texts: Sequence[str]) -> Vectors:
        """Return the vectors of these questions, shape (len(texts), dimensions); raises what `embedding` raises."""
        loop = asyncio.get_running_loop()
        vectors: asyncio.Future[Vectors] = loop.create_future()
        self._waiting.append((embedding, texts, vectors))
        if self._working is None or self._working.done() or self._working.get_loop() is not loop:
            self._working = loop.create_task(self._work())
        return await vectors

    async def _work(self) -> None:
        while self._waiting:
            batch = self._next()
            if not batch:
                continue
            embedding, texts = batch[0][0], [text for _, texts, _ in batch for text in texts]
            embedded = asyncio.ensure_future(asyncio.to_thread(embedding.embed, texts, input_type="question"))
            await asyncio.wait((embedded,))
            if error := embedded.exception():
                _fail(batch, error)
            else:
                _hand_out(batch, embedded.result())

    def _next(self) -> list[_Waiting]:
        """The first that wait and are asked of one model; whoever has gone is left out."""
        batch: list[_Waiting] = []
        size = 0
        while self._waiting:
            embedding, texts, vectors = self._waiting[0]
            if batch and (embedding is not batch[0][0] or size + len(texts) > BATCH):
                break
            self._waiting.popleft()
            if not vectors.done():
                batch.append((embedding, texts, vectors))
                size += len(texts)
        return batch


def _hand_out(batch: Sequence[_Waiting], vectors: Vectors) -> None:
    start = 0
    for _, texts, waiting in batch:
        if not waiting.done():
            waiting.set_result(vectors[start : start + len(texts)])
        start += len(texts)


def _fail(batch: Sequence[_Waiting], error: BaseException) -> None:
    for _, _, waiting in batch:
        if not waiting.done():
            waiting.set_exception(error)
