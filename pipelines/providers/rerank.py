"""Chooses who reranks passages: the name of a model goes in, a provider or none comes out."""

from __future__ import annotations

from pathlib import Path

from pipelines.providers.base import RerankProvider
from pipelines.providers.bedrock_rerank import BedrockRerank
from pipelines.providers.cross_encoder import load_cross_encoder
from pipelines.providers.sentence_transformers import Backend


def choose_rerank(
    model: str, *, region: str, backend: Backend, models_dir: Path, threads: int, timeout_s: float
) -> RerankProvider | None:
    """The reranker for `RERANK_MODEL`: `bedrock/<model>`, a folder with a cross-encoder, or none where it is empty.

    Raises:
        SetupFailed: the folder holds no cross-encoder that can be run here.
    """
    if not model:
        return None
    if model.startswith("bedrock/"):
        return BedrockRerank(model.removeprefix("bedrock/"), region=region or None, timeout_s=timeout_s)
    return load_cross_encoder(model, backend, models_dir, threads=threads)
