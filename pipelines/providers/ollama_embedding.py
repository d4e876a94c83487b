"""An embedding model of Ollama: texts go in, vectors come out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
from ollama import Client, ResponseError, ShowResponse

from pipelines.errors import DeadlineExceeded, ModelFailed, RaglineError, UnknownModel
from pipelines.providers.base import InputType
from pipelines.providers.embedding_prefixes import prefixes_for
from pipelines.providers.ollama import VENDOR_ERRORS, translated
from pipelines.providers.remote_embedding import (
    DOCUMENT_TIMEOUT_S,
    QUESTION_TIMEOUT_S,
    CallLimits,
    EmbeddingCalls,
    RemoteEmbedding,
    Vectors,
    load_remote,
)

LIMITS = CallLimits(texts=32, chars=16_000, calls=4)
"""Ollama reads the texts of a call one by one or, with OLLAMA_NUM_PARALLEL, a few at once: more only wait there."""
KEEP_ALIVE = -1
"""The model stays loaded: the first question after a quiet hour must not wait for it."""
DEFAULT_WINDOW = 512
"""Of the models that say nothing: BERT's."""

_WEIGHTS = re.compile(r"^FROM\s+\S*sha256[-:]([0-9a-f]{64})\s*$", re.MULTILINE)
_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)\s*$", re.MULTILINE)


class OllamaEmbeddingCalls(EmbeddingCalls):
    """One embedding model of one Ollama server."""

    provider = "ollama"
    limits = LIMITS

    def __init__(self, base_url: str, model: str, *, connect_timeout_s: float = 5) -> None:
        self.model = model.removesuffix(":latest")
        self.prefixes = prefixes_for(model)
        self._base_url = base_url
        self._clients: dict[InputType, Client] = {
            "question": _client(base_url, QUESTION_TIMEOUT_S, connect_timeout_s),
            "document": _client(base_url, DOCUMENT_TIMEOUT_S, connect_timeout_s),
        }

    def call(self, texts: Sequence[str], *, input_type: InputType) -> Vectors:
        try:
            return self._clients[input_type].embed(self.model, texts, truncate=True, keep_alive=KEEP_ALIVE).embeddings
        except VENDOR_ERRORS as error:
            raise self._translated(error) from error

    def window(self) -> int:
        """The tokens that the model reads; raises if it is not there or cannot embed."""
        shown = self._shown()
        if shown.capabilities and "embedding" not in shown.capabilities:
            raise self._no_embedding()
        lengths = [int(value) for value in _values(shown.modelinfo or {}, ".context_length")]
        # What the model was trained with, and what Ollama starts it with: all-minilm has 512 and 256.
        lengths += [int(value) for value in _NUM_CTX.findall(shown.parameters or "")]
        return min(lengths, default=DEFAULT_WINDOW)

    def weights(self) -> str:
        """The digest of the file of weights: that of a listing changes with the licence, too.

        Ollama says it in the Modelfile. Where it does not, what it lists the model with is the next best.
        """
        if found := _WEIGHTS.search(self._shown().modelfile or ""):
            return found[1]
        try:
            listed = self._clients["document"].list().models
        except VENDOR_ERRORS as error:
            raise self._translated(error) from error
        return next((entry.digest or "" for entry in listed if entry.model in (self.model, f"{self.model}:latest")), "")

    def close(self) -> None:
        for client in self._clients.values():
            client.close()  # type: ignore[no-untyped-call]  # not annotated in ollama 0.6.3

    def _shown(self) -> ShowResponse:
        try:
            return self._clients["document"].show(self.model)
        except VENDOR_ERRORS as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> RaglineError:
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            return DeadlineExceeded(f"Ollama took too long to embed with {self.model}.")
        if isinstance(error, ResponseError):
            said = error.error.casefold()
            if error.status_code == 501 or "not support embedding" in said:
                return self._no_embedding()
            if "context length" in said:
                return ModelFailed(
                    f"{self.model} takes shorter texts in Ollama than it says: {error.error.rstrip('.')}."
                )
        return translated(error, self.model, self._base_url)

    def _no_embedding(self) -> UnknownModel:
        return UnknownModel(
            f"{self.model} is a chat model and cannot embed: set EMBEDDING_MODEL to an embedding model, such as "
            "ollama/nomic-embed-text after `ollama pull nomic-embed-text`."
        )


def load_ollama_embedding(base_url: str, model: str, *, connect_timeout_s: float = 5) -> RemoteEmbedding:
    """Find out what the model is; raises what is wrong with it or with Ollama as a `RaglineError`."""
    calls = OllamaEmbeddingCalls(base_url, model, connect_timeout_s=connect_timeout_s)
    try:
        window, weights = calls.window(), calls.weights()
    except RaglineError:
        calls.close()
        raise
    return load_remote(calls, window=window, weights=weights)


def _client(base_url: str, timeout_s: float, connect_timeout_s: float) -> Client:
    # A proxy meant for the internet must not get between us and a server of our own.
    return Client(host=base_url, timeout=httpx.Timeout(timeout_s, connect=connect_timeout_s), trust_env=False)


def _values(info: Mapping[str, Any], suffix: str) -> Iterator[Any]:
    """The architecture's name stands before each key: `bert.context_length`."""
    return (value for key, value in info.items() if key.endswith(suffix) and isinstance(value, int) and value > 0)
