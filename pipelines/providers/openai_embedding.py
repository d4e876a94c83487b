"""An embedding model behind OpenAI's API (OpenAI, vLLM, LiteLLM, llama.cpp): texts go in, vectors come out."""

from __future__ import annotations

from collections.abc import Sequence

import httpx2
import openai

from pipelines.errors import DeadlineExceeded, ModelFailed, RaglineError, UnknownModel
from pipelines.providers.base import InputType
from pipelines.providers.embedding_prefixes import prefixes_for
from pipelines.providers.openai_compatible import VENDOR_ERRORS, translated
from pipelines.providers.remote_embedding import (
    DOCUMENT_TIMEOUT_S,
    QUESTION_TIMEOUT_S,
    CallLimits,
    EmbeddingCalls,
    RemoteEmbedding,
    Vectors,
    load_remote,
)

LIMITS = CallLimits(texts=64, chars=16_000, calls=4)
"""OpenAI takes 2,048 texts of together 300,000 tokens; servers of one's own often no more than 64 texts."""
DEFAULT_WINDOW = 512
"""Of servers that do not say it: BERT's, which is less than that of OpenAI's own models (8,192)."""

_NOT_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""What the client says only as the cause of its own error (openai 3.52 speaks HTTP through httpx2)."""


class OpenAIEmbeddingCalls(EmbeddingCalls):
    """One embedding model of one OpenAI-compatible server."""

    provider = "openai"
    limits = LIMITS

    def __init__(self, base_url: str, model: str, *, api_key: str = "", connect_timeout_s: float = 5) -> None:
        self.model = model
        self.prefixes = prefixes_for(model)
        self._base_url = base_url
        self._timeouts: dict[InputType, openai.Timeout] = {
            "question": openai.Timeout(QUESTION_TIMEOUT_S, connect=connect_timeout_s),
            "document": openai.Timeout(DOCUMENT_TIMEOUT_S, connect=connect_timeout_s),
        }
        self._client = openai.OpenAI(
            base_url=base_url,
            # The client insists on a key; a local vLLM has none.
            api_key=api_key or "none",
            max_retries=0,  # what is tried again is said in one place for all providers
        )

    def call(self, texts: Sequence[str], *, input_type: InputType) -> Vectors:
        try:
            answer = self._client.embeddings.create(
                model=self.model,
                input=list(texts),
                # The client asks for base64 otherwise, which not every server speaks.
                encoding_format="float",
                timeout=self._timeouts[input_type],
            )
            return [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        except VENDOR_ERRORS as error:
            raise self._translated(error) from error

    def window(self) -> int:
        """The tokens that the model reads, where the server says it, as vLLM does."""
        try:
            listed = self._client.models.list(timeout=self._timeouts["question"]).data
        except VENDOR_ERRORS:
            # Not every server lists its models; whether this one embeds is found out next.
            return DEFAULT_WINDOW
        said = next((getattr(entry, "max_model_len", None) for entry in listed if entry.id == self.model), None)
        return said if isinstance(said, int) and said > 0 else DEFAULT_WINDOW

    def close(self) -> None:
        self._client.close()

    def _translated(self, error: Exception) -> RaglineError:
        if isinstance(error, openai.APITimeoutError) and not isinstance(error.__cause__, _NOT_CONNECTED):
            return DeadlineExceeded(f"The server at {self._base_url} took too long to embed with {self.model}.")
        if isinstance(error, openai.APIStatusError) and error.status_code in (400, 403, 404, 501):
            said = error.message.rstrip(".")
            if "embedding" in said.casefold().replace(self.model.casefold(), ""):
                return UnknownModel(
                    f"{self.model} cannot embed at {self._base_url}: set EMBEDDING_MODEL to a model that can ({said})."
                )
            if "context length" in said or "too long" in said or "maximum" in said:
                return ModelFailed(f"{self.model} takes shorter texts at {self._base_url}: {said}.")
        answering = not isinstance(error.__cause__, _NOT_CONNECTED)
        return translated(error, self.model, self._base_url, answering=answering)


def load_openai_embedding(
    base_url: str, model: str, *, api_key: str = "", connect_timeout_s: float = 5
) -> RemoteEmbedding:
    """Find out what the model is; raises what is wrong with it or with the server as a `RaglineError`."""
    calls = OpenAIEmbeddingCalls(base_url, model, api_key=api_key, connect_timeout_s=connect_timeout_s)
    return load_remote(calls, window=calls.window())
