"""Has a model answer: messages and a model id go in, the model's text comes out as it is produced.

The router holds each provider to as many calls at once as it serves, gives up on models that stay silent, leaves those
alone that are down, and tries the fallback models in order, but only before the first token: a reader never gets two
half answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.answer.account import Account, Books
from pipelines.answer.admission import Admission, QueueFull
from pipelines.answer.ask_model import Begun, ask_model
from pipelines.answer.completion import Completion, collected
from pipelines.answer.health import Health, HealthReport
from pipelines.answer.model_calls import Attempt, ModelCalls
from pipelines.answer.model_directory import DEFAULT, ModelDirectory, ModelRef
from pipelines.answer.model_request import ModelRequest
from pipelines.answer.spending import NO_SPENDING, Spending
from pipelines.answer.watchdog import Watchdog
from pipelines.cost import PriceList
from pipelines.errors import (
    Busy,
    ContextTooLong,
    DeadlineExceeded,
    ModelFailed,
    ModelUnavailable,
    RaglineError,
    UnknownModel,
)
from pipelines.providers.base import ChatDelta, ChatProvider, TextDelta

_TRY_NEXT = (ModelUnavailable, ModelFailed, Busy, DeadlineExceeded, ContextTooLong)
"""What another model may still answer; it may read more, too. An unknown model is not among them: that is a mistake to
be shown. Nor is a spent budget: the reader is to know of it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServedProvider:
    """A provider, how many calls it serves at once, and the model it is set up with, if one is named."""

    provider: ChatProvider
    parallel: int
    model: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a model may be silent, in seconds: before its first token and between two.

    `total_s` is how long a call may take in all: in line, at every model that is tried, and until its last token.
    """

    first_token_s: float
    idle_s: float
    total_s: float = 300


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
        retries: int = 0,
        calls: ModelCalls,
        prices: PriceList,
        spending: Spending = NO_SPENDING,
        health: Health | None = None,
    ) -> None:
        self._providers: Mapping[str, ChatProvider] = {each.provider.name: each.provider for each in served}
        self._admissions = {
            each.provider.name: Admission(each.provider.name, parallel=each.parallel, queue=queue) for each in served
        }
        self._set_up = {each.provider.name: each.model for each in served}
        self._fallback = tuple(fallback)
        self._patience = patience
        self._retries = retries
        self._books = Books(calls, prices, spending)
        self._health = health or Health(self._providers)
        self._directory = ModelDirectory(
            self._providers, default=default, set_up=self._set_up, away=self._health.is_away
        )
        self.calls = calls

    @property
    def active(self) -> int:
        """How many answers are being written now."""
        return sum(admission.active for admission in self._admissions.values())

    def has_room(self, ref: ModelRef) -> bool:
        """Whether a model may be asked for what can be done without; never at the cost of somebody's answer."""
        return self._admissions[ref.provider].has_room and self._health.is_well(ref)

    def health(self) -> list[HealthReport]:
        """How every provider is, under the model it is set up with, and every further model that failed."""
        refs = [ModelRef(provider, model) for provider, model in self._set_up.items()]
        return [self._report(ref) for ref in dict.fromkeys((*refs, *self._health.troubled()))]

    async def resolve(self, model_id: str) -> ModelRef:
        """The model an id means now; raises as `ModelDirectory.resolve` does."""
        return await self._directory.resolve(model_id)

    async def models(self) -> list[str]:
        """The ids that can be asked now."""
        return await self._directory.models()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ChatDelta, None]:
        """Yield the model's text, then one `Finish` whose usage is always set.

        Closing the generator closes the connection to the model and frees its slot.

        Raises:
            UnknownModel: nobody serves that id.
            Busy: the queue for the model is full; `retry_after` says when to return.
            BudgetSpent: the model costs more than is left; nothing else is tried.
            ModelUnavailable, DeadlineExceeded: it cannot be reached, or stayed silent too long.
            ContextTooLong: it reads no more, though all was left out that could be.
            ModelFailed: it failed, or broke off in the middle; after text has been yielded nothing else is tried.
        """
        started, ends = time.perf_counter(), asyncio.get_running_loop().time() + self._patience.total_s
        async with AsyncExitStack() as held:
            ref, begun, account = await self._begin(request, started, ends, held)
            async with account:
                with Watchdog(str(ref), idle_s=self._patience.idle_s, ends=ends) as watchdog:
                    delta: ChatDelta | None = begun.first
                    while isinstance(delta, TextDelta):
                        account.characters += len(delta.text)
                        yield delta
                        watchdog.waits()
                        delta = await anext(begun.rest, None)
                        watchdog.rests()
                if delta is None:
                    raise ModelFailed(f"{ref} broke off before the end of its answer.")
                yield await account.finished(delta)

    async def complete(self, request: ModelRequest) -> Completion:
        """The whole answer at once; raises as `stream` does."""
        return await collected(self.stream(request))

    async def close(self) -> None:
        """End the probes and release the providers' connections."""
        await self._health.close()
        for provider in self._providers.values():
            await provider.close()

    async def _begin(self, request: ModelRequest, started: float, ends: float, held: AsyncExitStack) -> _Answer:
        try:
            async with asyncio.timeout_at(ends):
                return await self._first_to_begin(request, started, held)
        except TimeoutError as late:
            error: RaglineError = DeadlineExceeded(f"No model answered within {self._patience.total_s:g} seconds.")
            error.__cause__ = late
        except RaglineError as failure:
            error = failure
        model = request.model or DEFAULT
        await self.calls.put(Attempt(request.request_id, asked=model, model=model, started=started).failed(error))
        raise error

    async def _first_to_begin(self, request: ModelRequest, started: float, held: AsyncExitStack) -> _Answer:
        """The answer of the first model that begins one, whose slot and connection are `held`."""
        asked = request.model or DEFAULT
        tried: set[ModelRef] = set()
        failures: list[RaglineError] = []
        for model_id in (asked, *(self._fallback if request.fall_back else ())):
            try:
                ref = await self._directory.resolve(model_id)
                if ref in tried:
                    continue
                asked = asked if failures else str(ref)
                tried.add(ref)
                return await self._ask(ref, request, asked, started, held)
            except QueueFull:  # a good answer in a moment is better than another one now
                raise
            except (*_TRY_NEXT, UnknownModel) as error:
                if isinstance(error, UnknownModel) and not failures:
                    raise
                logger.warning("%s could not answer %s: %s", model_id, request.request_id, error.code)
                failures.append(error)
            await held.aclose()
        raise failures[0]

    async def _ask(
        self, ref: ModelRef, request: ModelRequest, asked: str, started: float, held: AsyncExitStack
    ) -> _Answer:
        self._books.spending.check(request.user_id, str(ref))
        self._health.admit(ref)  # nobody waits in line for a model that is down
        await held.enter_async_context(self._admissions[ref.provider].slot())
        attempt = Attempt(request.request_id, asked=asked, model=str(ref), started=started)
        with self._health.asking(ref):
            begun = await ask_model(
                self._providers[ref.provider],
                ref,
                request,
                patience_s=self._patience.first_token_s,
                retries=self._retries,
            )
            held.push_async_callback(begun.rest.aclose)
        account = Account(self._books, request, ref, attempt)
        if isinstance(begun.first, TextDelta):
            await account.begun(begun.dropped_passages)
        return _Answer(ref, begun, account)

    def _report(self, ref: ModelRef) -> HealthReport:
        admission = self._admissions[ref.provider]
        return self._health.report(ref, active=admission.active, waiting=admission.waiting, parallel=admission.parallel)


class _Answer(NamedTuple):
    """The answer of a model that has begun one."""

    ref: ModelRef
    begun: Begun
    account: Account
