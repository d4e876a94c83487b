"""What a chat model and an embedding model are to the rest of the product.

An adapter owns its vendor's client, its wire format and the translation of its errors
(`ModelUnavailable`, `ModelFailed`, `UnknownModel`, `Busy`, `DeadlineExceeded`, `ContextTooLong`). Nothing else imports
a vendor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipelines.domain import Message, Usage

InputType = Literal["question", "document"]


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """What a caller may ask of a model; None leaves it to the model."""

    temperature: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of text as the model produced it."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a model's text: why it ended, and what the provider says it used (None where it does not say).

    `filtered`: the provider withheld the text, or the rest of it.
    """

    reason: Literal["stop", "length", "filtered"] = "stop"
    usage: Usage | None = None


ChatDelta = TextDelta | Finish


class ChatProvider(ABC):
    """Runs chat models. One instance serves all its models and all requests; it is safe for concurrent use."""

    name: str
    """The first half of a model id, `<provider>/<model>`."""

    @abstractmethod
    def stream(
        self, model: str, messages: Sequence[Message], *, options: GenerateOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        """Yield the model's text as it is produced, then exactly one `Finish`.

        Closing the generator (`aclose`) closes the connection to the model at once.

        Raises:
            UnknownModel: the provider does not have the model; the message says how to get it.
            ModelUnavailable: no connection, or the provider says it is not ready.
            ModelFailed: it answered with an error, or broke off before its end.
            Busy: it is throttling; `retry_after` where it says so.
            ContextTooLong: the messages are longer than what the model reads; nothing was yielded.
        """

    @abstractmethod
    async def check(self, model: str = "") -> None:
        """Return when the provider answers and, if a model is named, when that could be asked now.

        Raises:
            ModelUnavailable: the provider does not answer or refuses us; says what to do.
            UnknownModel: it does not have the model; says how to get it.
        """

    @abstractmethod
    async def models(self) -> Sequence[str]:
        """The model names it has now; raises as `check` does."""

    async def context_tokens(self, model: str) -> int | None:
        """The longest prompt and answer together that the model reads, in tokens; None where nobody says it."""
        return None

    async def close(self) -> None:
        """Release connections."""
        return


class EmbeddingProvider(ABC):
    """Turns text into vectors. Thread-safe; blocking (it computes), so the answer path calls it in a worker thread."""

    name: str
    """Identifies the model by its weights and settings; an index built with one name is not searched with another."""
    dimensions: int
    max_tokens: int
    """The longest input it reads; chunks are cut to fit."""

    @abstractmethod
    def embed(self, texts: Sequence[str], *, input_type: InputType) -> npt.NDArray[np.float32]:
        """Return L2-normalised vectors of shape (len(texts), dimensions), in the order of `texts`."""

    @abstractmethod
    def count_tokens(self, text: str) -> int:
        """How many of `max_tokens` this text takes, special tokens included."""

    @abstractmethod
    def token_counter(self) -> Callable[[str], int]:
        """`count_tokens` in a form that can be pickled and used in another process, without loading the model there."""

    def close(self) -> None:
        """Release connections, and let nothing wait any longer."""
        return


class RerankProvider(ABC):
    """Judges how well texts answer a question. Thread-safe; blocking, so it is called in a worker thread."""

    name: str
    """The provider and the model, as settings and reports name it."""

    @abstractmethod
    def rank(self, question: str, texts: Sequence[str], *, timeout_s: float) -> Sequence[float]:
        """Return how relevant each text is, 0 to 1, in the order of `texts`.

        Raises:
            UnknownModel, ModelUnavailable, ModelFailed, Busy: as a chat model does.
            DeadlineExceeded: it took longer than `timeout_s`.
        """

    def close(self) -> None:
        """Release connections."""
        return


class VisionProvider(ABC):
    """Reads pages that are images. Thread-safe; blocking, so the pages of a document are read by `parallel` threads.

    All pages are read by one loaded model: the same model with the same options in every call.
    """

    name: str
    """The provider and the model, as the registry records them."""
    parallel: int
    """How many pages it reads at once."""

    @abstractmethod
    def read_page(self, image: bytes) -> str:
        """Return the text on a page (a PNG) as Markdown, in reading order, tables as tables; "" when it has none.

        Raises:
            UnknownModel, ModelUnavailable, ModelFailed, Busy, DeadlineExceeded: as a chat model does.
        """

    def close(self) -> None:
        """Release connections."""
        return
