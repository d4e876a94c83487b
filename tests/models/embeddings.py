"""Embedding models by their names, and how a test makes them misbehave: texts go in, vectors come out.

mock-embed64                       vectors of 64 numbers; texts that share words have similar ones
nomic-embed-text-mock-embed64      the same: a real model's name, with all that is known of it, before its size
"""

from __future__ import annotations

import asyncio
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["busy", "err", "fail", "hang", "chat", "long", "garbage"]
"""What is done in place of an answer; `chat` and `long` are what is said of a chat model and of a text too long."""

Spoiled = Literal["nan", "zero", "short", "size", "ragged", "words"]
"""What is wrong with the vectors of an answer."""

_NAME = re.compile(r"(?:[a-z0-9.-]+-)?mock-embed(?P<size>\d{1,5})(?::latest)?")


@dataclass(slots=True)
class Embeddings:
    """What the embedding models of one server do and saw. `busy` calls are refused before one is answered."""

    fault: Fault | None = None
    spoiled: Spoiled | None = None
    busy: int = 0
    delay_s: float = 0.0
    failing: str = ""
    """Calls for a text that has this in it fail with an error."""
    weights: str = "970aa74c0a90ef7482477cf803618e776e173c007bf957f635f1015bfcfec0e6"
    num_ctx: int | None = None
    """What the model is started with, if its file says it."""
    calls: list[list[str]] = field(default_factory=list)
    active: int = 0
    most_at_once: int = 0

    def refused(self) -> bool:
        """Whether this call is one too many."""
        if self.fault == "busy":
            return True
        self.busy, before = max(0, self.busy - 1), self.busy
        return before > 0

    def fails(self, texts: Sequence[str]) -> bool:
        """Whether this call ends with an error."""
        return self.fault == "err" or bool(self.failing and any(self.failing in text for text in texts))

    async def vectors(self, texts: Sequence[str], size: int) -> list[list[object]]:
        """The vectors, spoiled as they are to be, after the delay."""
        self.calls.append(list(texts))
        self.active += 1
        self.most_at_once = max(self.most_at_once, self.active)
        try:
            await asyncio.sleep(3600 if self.fault == "hang" else self.delay_s)
        finally:
            self.active -= 1
        return self._spoil([list(word_vector(text, size)) for text in texts])

    def _spoil(self, vectors: list[list[object]]) -> list[list[object]]:
        last = vectors[-1]
        match self.spoiled:
            case "zero":
                vectors[-1] = [0.0] * len(last)
            case "nan":
                vectors[-1] = [1e39, *last[1:]]
            case "short":
                vectors.pop()
            case "size":
                return [vector[:-1] for vector in vectors]
            case "ragged":
                vectors[-1] = last[:-1]
            case "words":
                vectors[-1] = ["one", *last[1:]]
        return vectors


def embedding_size(model: str) -> int | None:
    """How many numbers the vectors of a model have; None for what is no embedding model."""
    match = _NAME.fullmatch(model)
    return int(match["size"]) if match else None


def word_vector(text: str, size: int) -> list[float]:
    """A vector of length 3, for whoever asks must not rely on 1; each word has its place in it."""
    vector = [1e-6] * size
    for word in re.findall(r"\w+", text.casefold()):
        vector[zlib.crc32(word.encode()) % size] += 1
    norm = math.hypot(*vector)
    return [3 * value / norm for value in vector]
