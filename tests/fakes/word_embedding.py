"""An embedding provider without a model: texts that share words have similar vectors, and a word is a token."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pipelines.providers.base import EmbeddingProvider, InputType


class WordEmbedding(EmbeddingProvider):
    def __init__(self, name: str = "words", dimensions: int = 64, max_tokens: int = 256) -> None:
        self.name = name
        self.dimensions = dimensions
        self.max_tokens = max_tokens

    def embed(self, texts: Sequence[str], *, input_type: InputType) -> npt.NDArray[np.float32]:
        vectors = np.full((len(texts), self.dimensions), 1e-6, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.casefold()):
                vectors[row, zlib.crc32(word.encode()) % self.dimensions] += 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def count_tokens(self, text: str) -> int:
        return count_words(text)

    def token_counter(self) -> Callable[[str], int]:
        return count_words


def count_words(text: str) -> int:
    return len(text.split()) + 2
