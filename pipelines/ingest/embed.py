"""Chunks in, their vectors out, in the same order."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.domain import Chunk, Vector
from pipelines.providers.base import EmbeddingProvider


def embed_chunks(chunks: Sequence[Chunk], embedding: EmbeddingProvider) -> list[Vector]:
    """Embed every chunk with the place it stands in, which a question may name and its text need not."""
    return list(embedding.embed([chunk.context for chunk in chunks], input_type="document"))
