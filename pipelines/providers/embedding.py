"""Chooses the embedding model: `EMBEDDING_MODEL`, or the name of one that an index was built with, goes in."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

from pipelines.errors import RaglineError, SetupFailed
from pipelines.providers.base import EmbeddingProvider
from pipelines.providers.bedrock_embedding import load_bedrock_embedding
from pipelines.providers.ollama_embedding import load_ollama_embedding
from pipelines.providers.openai_embedding import load_openai_embedding
from pipelines.providers.remote_embedding import LOAD_TIMEOUT_S
from pipelines.providers.sentence_transformers import load_embedding, load_exported
from pipelines.settings import REMOTE_EMBEDDINGS, Settings


def choose_embedding(settings: Settings) -> EmbeddingProvider:
    """The embedding model that the settings name, asked once or loaded.

    Raises:
        SetupFailed: it cannot be used; says what to do.
    """
    model = settings.embedding_model
    if settings.embeds_elsewhere():
        return _remote(model, settings)
    return load_embedding(model, settings.embedding_backend, settings.models_dir, threads=settings.embedding_threads)


def load_embedding_by_name(name: str, settings: Settings) -> EmbeddingProvider:
    """The model whose provider has this name, which an index was built with, whatever the settings name now.

    Raises:
        SetupFailed: it is gone, or what has its name now is another; says what to do.
    """
    if not name.startswith(REMOTE_EMBEDDINGS):
        return load_exported(name, settings.models_dir, threads=settings.embedding_threads)
    model = name.rpartition("@")[0]
    loaded = _remote(model, settings)
    if loaded.name != name:
        loaded.close()
        raise SetupFailed(
            f"The index was built with {name}, but {model} is now {loaded.name}, whose vectors are others: put the "
            "earlier model back, or delete the index, and all is indexed anew."
        )
    return loaded


def _remote(model: str, settings: Settings) -> EmbeddingProvider:
    provider, _, name = model.partition("/")
    if not name:
        raise SetupFailed(f"EMBEDDING_MODEL={model} names no model: write {provider}/<model>.")
    connect_s = settings.llm_connect_timeout_s
    if provider == "ollama":
        url = settings.ollama_base_url
        return _in_time(model, lambda: load_ollama_embedding(url, name, connect_timeout_s=connect_s))
    if provider == "bedrock":
        region = settings.aws_region or None
        return _in_time(model, lambda: load_bedrock_embedding(name, region=region, connect_timeout_s=connect_s))
    if not settings.openai_base_url:
        raise SetupFailed(f"EMBEDDING_MODEL={model} needs OPENAI_BASE_URL.")
    url, key = settings.openai_base_url, settings.openai_api_key.get_secret_value()
    return _in_time(model, lambda: load_openai_embedding(url, name, api_key=key, connect_timeout_s=connect_s))


def _in_time(model: str, load: Callable[[], EmbeddingProvider]) -> EmbeddingProvider:
    """Load in a thread that may be left behind: no client has a limit for an answer that drips."""
    done: list[EmbeddingProvider | RaglineError] = []

    def run() -> None:
        try:
            done.append(load())
        except RaglineError as error:
            done.append(error)

    thread = Thread(target=run, name="embedding-load", daemon=True)
    thread.start()
    thread.join(LOAD_TIMEOUT_S)
    if not done:
        raise SetupFailed(f"EMBEDDING_MODEL={model} cannot be used: no answer came within {LOAD_TIMEOUT_S:g} s.")
    if isinstance(done[0], RaglineError):
        raise SetupFailed(f"EMBEDDING_MODEL={model} cannot be used. {done[0].message}") from done[0]
    return done[0]
