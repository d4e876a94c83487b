"""What all embedding models behind a network have in common: texts go in, vectors come out of a provider's calls.

Cuts, prefixes and batches the texts, calls in parallel and in bounded time, tries again where the provider is busy,
and takes no vector that could not be searched.
"""

from __future__ import annotations

import hashlib
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import numpy as np
import numpy.typing as npt
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    stop_when_event_set,
    wait_random_exponential,
)

from pipelines.errors import Busy, DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError
from pipelines.providers.base import EmbeddingProvider, InputType
from pipelines.providers.embedding_prefixes import Prefixes
from pipelines.providers.token_counter import whole_characters
from pipelines.providers.token_estimate import TokenEstimate, cut, estimate_tokens

MEASURED_TOKENS = 256
"""The window of all-MiniLM-L6-v2, with which retrieval was measured (tests/evals). A model that reads 8,192 tokens gets
no longer texts: titles and captions would take more of a chunk than they do there, and it would be found otherwise."""
QUESTION_TIMEOUT_S = 10.0
"""For a question with all its tries: a reader waits."""
DOCUMENT_TIMEOUT_S = 60.0
"""For one call. A model on a CPU reads a batch in ten seconds, after it was loaded in thirty."""
DOCUMENT_LIMIT_S = 900.0
"""For all texts of one `embed`, with waiting for others and with all tries."""
LOAD_TIMEOUT_S = 90.0
"""For finding out at the start what the model is."""
BLANK = "."
"""What is sent in place of a text of blanks, which most providers refuse."""

Vectors = Sequence[Sequence[float]]
UnitVectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What one call takes: so many texts of so many characters. So many calls are made at once."""

    texts: int
    chars: int
    calls: int


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is tried while the provider is busy, and the first and the longest wait between two tries."""

    tries: int = 8
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0


class EmbeddingCalls(ABC):
    """One embedding model behind its vendor's client. Thread-safe; blocking."""

    provider: str
    """The first half of `EMBEDDING_MODEL`."""
    model: str
    limits: CallLimits
    prefixes: Prefixes = Prefixes()
    """Put before every text; for a provider that knows questions from documents by itself there are none."""

    @abstractmethod
    def call(self, texts: Sequence[str], *, input_type: InputType) -> Vectors:
        """Make one call, within `limits`: a vector of floats for each text, in their order.

        It ends after `QUESTION_TIMEOUT_S` or `DOCUMENT_TIMEOUT_S` without a byte from the provider.

        Raises:
            UnknownModel, ModelUnavailable, ModelFailed, Busy, DeadlineExceeded: as a chat model does.
        """

    def close(self) -> None:
        """Release connections."""
        return


class RemoteEmbedding(EmbeddingProvider):
    """An embedding model that is asked over a network. Questions have threads of their own: none waits for documents.

    `embed` raises for documents what `EmbeddingCalls.call` raises, for questions `Busy` or `ModelUnavailable`.
    """

    def __init__(
        self, calls: EmbeddingCalls, *, name: str, dimensions: int, max_tokens: int, patience: Patience = Patience()
    ) -> None:
        self.name, self.dimensions, self.max_tokens = name, dimensions, max_tokens
        self._calls, self._limits = calls, calls.limits
        self._prefixes: dict[InputType, str] = {
            "question": calls.prefixes.question,
            "document": calls.prefixes.document,
        }
        self._count = TokenEstimate(calls.prefixes.document)
        self._threads = {
            kind: ThreadPoolExecutor(calls.limits.calls, thread_name_prefix=f"embed-{kind}") for kind in self._prefixes
        }
        self._closing = Event()
        self._tries = {
            "question": _trying(patience, self._closing, within_s=QUESTION_TIMEOUT_S),
            "document": _trying(patience, self._closing),
        }

    def embed(self, texts: Sequence[str], *, input_type: InputType) -> UnitVectors:
        try:
            return self._embed(texts, input_type)
        except Busy:
            raise
        except RaglineError as error:
            if input_type == "document":
                raise
            # The reader chose neither the model nor its provider: no 404 of theirs is an answer to a question.
            raise ModelUnavailable(f"Documents cannot be searched now. {error.message}") from error

    def count_tokens(self, text: str) -> int:
        return self._count(text)

    def token_counter(self) -> TokenEstimate:
        return self._count

    def close(self) -> None:
        self._closing.set()
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)
        self._calls.close()

    def _embed(self, texts: Sequence[str], input_type: InputType) -> UnitVectors:
        ends = time.monotonic() + (QUESTION_TIMEOUT_S if input_type == "question" else DOCUMENT_LIMIT_S)
        prepared = [self._prepared(text, input_type) for text in texts]
        asked: list[Future[UnitVectors]] = []
        try:
            for start in range(0, len(prepared), self._limits.texts):
                part = prepared[start : start + self._limits.texts]
                asked.append(self._threads[input_type].submit(self._tries[input_type], self._ask, part, input_type))
            answers = [future.result(ends - time.monotonic()) for future in asked]
        except TimeoutError as error:
            raise DeadlineExceeded(f"{self._calls.model} took too long for {_what(input_type)}.") from error
        except RuntimeError as error:  # from `submit`
            raise ModelUnavailable("Ragline is stopping.") from error
        finally:
            for future in asked:
                future.cancel()
        return np.concatenate(answers) if answers else np.zeros((0, self.dimensions), dtype=np.float32)

    def _prepared(self, text: str, input_type: InputType) -> str:
        prefix = self._prefixes[input_type]
        room = self.max_tokens - (estimate_tokens(prefix) if prefix else 0)
        fitting = cut(whole_characters(text), room).strip() or BLANK
        return (prefix + fitting)[: self._limits.chars]

    def _ask(self, texts: Sequence[str], input_type: InputType) -> UnitVectors:
        answer = self._calls.call(texts, input_type=input_type)
        return _unit_vectors(answer, len(texts), self.dimensions, self._calls.model)


def load_remote(
    calls: EmbeddingCalls, *, window: int, weights: str = "", patience: Patience = Patience()
) -> RemoteEmbedding:
    """Make a provider of a model that reads `window` tokens, having found its dimensions by one call.

    `weights` changes with the weights of the model, where its provider says what they are. Where it does not, only a
    model of the same name with other dimensions is told from the one that an index was built with.

    Raises:
        RaglineError: the call failed; `calls` are closed.
    """
    try:
        answer = _trying(patience, Event(), within_s=LOAD_TIMEOUT_S)(calls.call, ["Hotels"], input_type="document")
        dimensions = _unit_vectors(answer, 1, None, calls.model).shape[1]
    except RaglineError:
        calls.close()
        raise
    settings = "\0".join((weights, calls.prefixes.question, calls.prefixes.document))
    fingerprint = hashlib.sha256(settings.encode()).hexdigest()[:12]
    name = f"{calls.provider}/{calls.model}@{dimensions}-{fingerprint}"
    return RemoteEmbedding(
        calls, name=name, dimensions=dimensions, max_tokens=min(window, MEASURED_TOKENS), patience=patience
    )


def _trying(patience: Patience, closing: Event, *, within_s: float = math.inf) -> Retrying:
    growing = wait_random_exponential(multiplier=patience.first_wait_s, max=patience.longest_wait_s)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_for = error.retry_after if isinstance(error, Busy) and error.retry_after else 0.0
        return max(growing(state), min(asked_for, patience.longest_wait_s))

    return Retrying(
        retry=retry_if_exception_type(Busy),
        wait=wait,
        stop=stop_any(stop_after_attempt(patience.tries), stop_before_delay(within_s), stop_when_event_set(closing)),
        sleep=sleep_using_event(closing),
        reraise=True,
    )


def _unit_vectors(answer: object, count: int, dimensions: int | None, model: str) -> UnitVectors:
    try:
        vectors = np.asarray(answer, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise ModelFailed(f"{model} sent something that are no vectors of one length.") from error
    if vectors.ndim != 2 or vectors.shape[0] != count or vectors.shape[1] != (dimensions or vectors.shape[1]):
        expected = f"{count} of {dimensions} numbers" if dimensions else str(count)
        raise ModelFailed(f"{model} sent vectors of the shape {vectors.shape} where {expected} were expected.")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise ModelFailed(f"{model} sent a vector that is no direction: zeros, or what is not a number.")
    unit: UnitVectors = vectors / norms
    return unit


def _what(input_type: InputType) -> str:
    return "a question" if input_type == "question" else "a part of a document"
