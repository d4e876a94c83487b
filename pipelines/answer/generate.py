"""Has a model answer: messages and a model id go in, the model's text comes out as it is produced.

The router holds each provider to as many calls at once as it serves, gives up on models that stay silent, and tries
the fallback models in order, but only before the first token: a reader never gets two half answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from pipelines.answer.admission import Admission
from pipelines.answer.model_calls import Attempt, ModelCalls
from pipelines.answer.model_directory import ModelDirectory, ModelRef
from pipelines.answer.model_request import ModelRequest
from pipelines.answer.spending import NO_SPENDING, Spending
from pipelines.cost import PriceList
from pipelines.domain import Message, Usage
from pipelines.errors import Busy, DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError
from pipelines.providers.base import ChatDelta, ChatProvider, Finish, GenerateOptions, TextDelta

CHARACTERS_PER_TOKEN = 4
"""For providers that do not count: about right for English prose, and marked as an estimate."""

_TRY_NEXT = (ModelUnavailable, ModelFailed, Busy, DeadlineExceeded)
"""What another model may still answer. An unknown model is not among them: that is a mistake to be shown."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServedProvider:
    """A provider, how many calls it serves at once, and the model it is set up with, if one is named."""

    provider: ChatProvider
    parallel: int
    model: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a model may be silent, in seconds: before its first token and between two."""

    first_token_s: float
    idle_s: float


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    text: str
    finish: Finish


class ModelRouter:
    """Chooses, admits, times and records; the providers do the rest."""

    def __init__(
        self,
        served: Sequence[ServedProvider],
        *,
        default: str,
        fallback: Sequence[str] = (),
        queue: int,
        patience: Patience,
        calls: ModelCalls,
        prices: PriceList,
        spending: Spending = NO_SPENDING,
    ) -> None:
        self._providers: Mapping[str, ChatProvider] = {each.provider.name: each.provider for each in served}
        self._admissions = {
            each.provider.name: Admission(each.provider.name, parallel=each.parallel, queue=queue) for each in served
        }
        set_up = {each.provider.name: each.model for each in served}
        self._directory = ModelDirectory(self._providers, default=default, set_up=set_up)
        self._fallback = tuple(fallback)
        self._patience = patience
        self._prices = prices
        self._spending = spending
        self.calls = calls

    @property
    def active(self) -> int:
        """How many answers are being written now."""
        return sum(admission.active for admission in self._admissions.values())

    def has_room(self, ref: ModelRef) -> bool:
        """Whether a model may be asked for what can be done without; never at the cost of somebody's answer."""
        return self._admissions[ref.provider].has_room

    async def resolve(self, model_id: str) -> ModelRef:
        """The model an id means now; raises as `ModelDirectory.resolve` does."""
        return await self._directory.resolve(model_id)

    async def models(self) -> list[str]:
        """The ids that can be asked now."""
        return await self._directory.models()

    async def stream(
        self,
        request: ModelRequest,
    ) -> AsyncGenerator[ChatDelta, None]:
        """Yield the model's text, then one `Finish` whose usage is always set.

        Closing the generator closes the connection to the model and frees its slot.

        Raises:
            UnknownModel: nobody serves that id.
            Busy: the queue for the model is full; `retry_after` says when to return.
            ModelUnavailable, DeadlineExceeded: it cannot be reached, or stayed silent too long.
            ModelFailed: it failed, or broke off in the middle; after text has been yielded nothing else is tried.
        """
        started = time.perf_counter()
        asked = await self._directory.resolve(request.model)
        chain = [asked, *(await self._fallbacks(asked) if request.fall_back else ())]
        first_failure: RaglineError | None = None
        for ref in chain:
            async with self._admissions[ref.provider].slot():
                attempt = Attempt(request.request_id, asked=str(asked), model=str(ref), started=started)
                try:
                    async with aclosing(self._recorded(ref, request.messages, request.options, attempt)) as deltas:
                        async for delta in deltas:
                            yield delta
                    return
                except _TRY_NEXT as error:
                    if attempt.begun:
                        raise
                    first_failure = first_failure or error
                    logger.warning("%s could not answer %s: %s", ref, request.request_id, error.code)
        if first_failure:
            raise first_failure

    async def complete(
        self,
        request: ModelRequest,
    ) -> Completion:
        """The whole answer at once; raises as `stream` does."""
        pieces: list[str] = []
        finish = Finish()
        async with aclosing(self.stream(request)) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    pieces.append(delta.text)
                else:
                    finish = delta
        return Completion("".join(pieces), finish)

    async def close(self) -> None:
        """Release the providers' connections."""
        for provider in self._providers.values():
            await provider.close()

    async def _fallbacks(self, asked: ModelRef) -> list[ModelRef]:
        refs = [await self._directory.resolve(model_id) for model_id in self._fallback]
        return [ref for ref in refs if ref != asked]

    async def _recorded(
        self, ref: ModelRef, messages: Sequence[Message], options: GenerateOptions, attempt: Attempt
    ) -> AsyncGenerator[ChatDelta, None]:
        characters = 0
        try:
            async with aclosing(self._timed(ref, messages, options)) as deltas:
                async for delta in deltas:
                    if isinstance(delta, Finish):
                        usage = delta.usage or _estimate(messages, characters)
                        await self.calls.put(attempt.finished(usage, self._prices.cost_usd(str(ref), usage)))
                        yield Finish(delta.reason, usage)
                        return
                    if not attempt.begun:
                        await self.calls.put(attempt.first_token())
                    characters += len(delta.text)
                    yield delta
        except RaglineError as error:
            failure = error
            if attempt.begun and isinstance(error, ModelUnavailable | Busy):
                failure = ModelFailed(f"{ref} broke off in the middle of its answer.")
            await self.calls.put(attempt.failed(failure))
            if failure is error:
                raise
            raise failure from error

    async def _timed(
        self, ref: ModelRef, messages: Sequence[Message], options: GenerateOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        patience_s = self._patience.first_token_s
        async with aclosing(self._providers[ref.provider].stream(ref.model, messages, options=options)) as deltas:
            while True:
                try:
                    async with asyncio.timeout(patience_s):
                        delta = await anext(deltas)
                except TimeoutError as error:
                    raise DeadlineExceeded(f"{ref} said nothing for {patience_s:g} seconds.") from error
                yield delta
                if isinstance(delta, Finish):
                    return
                patience_s = self._patience.idle_s


def _estimate(messages: Sequence[Message], characters: int) -> Usage:
    prompt = sum(len(message.content) for message in messages)
    return Usage(-(-prompt // CHARACTERS_PER_TOKEN), -(-characters // CHARACTERS_PER_TOKEN), estimated=True)
