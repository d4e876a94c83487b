"""Asks the index one question after the other while documents go in, and notes how long each reader waits."""

from __future__ import annotations

import threading
import time

from pipelines.domain import EVERYONE, Passage
from pipelines.stores.base import SearchRequest
from pipelines.stores.generations import Generations

EVERY_S = 0.1
QUIET = 20
"""Questions asked for comparison, when nothing goes in any more."""
QUESTION = "How much is paid for a complete week of on-call duty?"


class Questions:
    """A reader who asks every `EVERY_S`; each wait is counted from when the question was due."""

    def __init__(self, generations: Generations) -> None:
        self.asked_ms: list[float] = []
        self._generations = generations
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="questions", daemon=True)

    def __enter__(self) -> Questions:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.perf_counter()
        while not self._stopping.wait(max(due - time.perf_counter(), 0)):
            ask(self._generations, QUESTION)
            self.asked_ms.append((time.perf_counter() - due) * 1000)
            due += EVERY_S


def ask(generations: Generations, question: str) -> list[Passage]:
    """Search what is live, as the answer path does."""
    live = generations.live
    vector = live.embedding.embed([question], input_type="question")[0]
    return live.index.search(SearchRequest(question, vector, (EVERYONE,)))


def quiet_ms(generations: Generations) -> list[float]:
    """How long the same question takes now."""
    waits: list[float] = []
    for _ in range(QUIET):
        began = time.perf_counter()
        ask(generations, QUESTION)
        waits.append((time.perf_counter() - began) * 1000)
    return waits
