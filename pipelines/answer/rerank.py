"""Orders the first passages anew by how well they answer: passages go in, the same passages come out.

Reranking never costs an answer: where the model is away or too slow, the order of the search stays.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock

from pipelines.domain import Passage
from pipelines.errors import Busy, DeadlineExceeded, Unavailable, UnknownModel
from pipelines.providers.base import RerankProvider

logger = logging.getLogger(__name__)

FAILURES_IN_A_ROW, PAUSE_S = 3, 30.0
"""After so many failures nobody waits for the model for so long."""

WARN_EVERY_S = 60.0

_FAILURES = (Busy, DeadlineExceeded, Unavailable, UnknownModel)
"""All that a `RerankProvider` raises."""


class Reranker:
    """A reranking model, limited in depth and in time. Thread-safe; blocking, as the model is."""

    def __init__(
        self,
        provider: RerankProvider,
        depth: int = 20,
        timeout_s: float = 0.5,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.depth = provider.name, depth
        self._provider, self._timeout_s, self._clock = provider, timeout_s, clock
        self._lock = Lock()
        self._failures = 0
        self._paused_until = self._quiet_until = float("-inf")

    def rerank(self, question_text: str, passages: Sequence[Passage]) -> list[Passage]:
        """Return the same passages, the first `depth` of them by the model's relevance, the rest behind as they were.

        Those first ones get the model's relevance, and their scores are given out anew: the best has the highest.
        """
        first, rest = passages[: self.depth], passages[self.depth :]
        relevance = self._relevance(question_text, first)
        if relevance is None:
            return list(passages)
        # Stable: what the model finds alike stays in the order of the search.
        order = sorted(range(len(first)), key=lambda position: -relevance[position])
        scores = sorted((passage.score for passage in first), reverse=True)
        best_first = (
            replace(first[position], score=score, relevance=relevance[position])
            for position, score in zip(order, scores, strict=True)
        )
        return [*best_first, *rest]

    def close(self) -> None:
        """Release the model."""
        self._provider.close()

    def _relevance(self, question_text: str, passages: Sequence[Passage]) -> Sequence[float] | None:
        """How relevant each passage is; None where the model does not say it in time."""
        if len(passages) < 2 or self._clock() < self._paused_until:
            return None
        try:
            texts = [passage.chunk.context for passage in passages]
            relevance = self._provider.rank(question_text, texts, timeout_s=self._timeout_s)
        except _FAILURES as error:
            self._count(error)
            return None
        with self._lock:
            self._failures = 0
        return relevance

    def _count(self, error: Exception) -> None:
        with self._lock:
            now = self._clock()
            self._failures += 1
            if self._failures >= FAILURES_IN_A_ROW:
                self._paused_until = now + PAUSE_S
            warn = now >= self._quiet_until
            if warn:
                self._quiet_until = now + WARN_EVERY_S
        if warn:
            logger.warning("Passages are not reranked, their order stays as it was found: %s", error)
