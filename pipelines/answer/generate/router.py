"""Has a model answer: messages and a model id go in, the model's text comes out as it is produced.

The router holds each provider to as many calls at once as it serves, gives up on models that stay silent, leaves those
alone that are down, and tries the fallback models in order, but only before the first token: a reader never gets two
half answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from pipelines.answer.generate.account import Books
from pipelines.answer.generate.admission import Admission
from pipelines.answer.generate.completion import Completion, collected
from pipelines.answer.generate.fallback import BegunAnswer, FallbackChain
from pipelines.answer.generate.health import Health, HealthReport
from pipelines.answer.generate.model_calls import ModelCalls
from pipelines.answer.generate.model_directory import ModelDirectory, ModelRef
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.generate.spending import NO_SPENDING, Spending
from pipelines.answer.generate.watchdog import Watchdog
from pipelines.cost import PriceList
from pipelines.errors import DeadlineExceeded, ModelFailed
from pipelines.providers.base import ChatDelta, ChatProvider, TextDelta


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
        self._patience = patience
        self._health = health or Health(self._providers)
        self._directory = ModelDirectory(
            self._providers, default=default, set_up=self._set_up, away=self._health.is_away
        )
        self._chain = FallbackChain(
            self._providers,
            self._admissions,
            self._directory,
            self._health,
            Books(calls, prices, spending),
            fallback=tuple(fallback),
            first_token_s=patience.first_token_s,
            retries=retries,
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
        ends = asyncio.get_running_loop().time() + self._patience.total_s
        async with AsyncExitStack() as held:
            answer = await self._begin(request, ends, held)
            async with answer.account as account:
                with Watchdog(str(answer.ref), idle_s=self._patience.idle_s, ends=ends) as watchdog:
                    rest = answer.begun.rest
                    delta: ChatDelta | None = answer.begun.first
                    while isinstance(delta, TextDelta):
                        account.characters += len(delta.text)
                        yield delta
                        watchdog.waits()
                        delta = await anext(rest, None)
                        watchdog.rests()
                if delta is None:
                    raise ModelFailed(f"{answer.ref} broke off before the end of its answer.")
                yield await account.finished(delta)

    async def complete(self, request: ModelRequest) -> Completion:
        """The whole answer at once; raises as `stream` does."""
        return await collected(self.stream(request))

    async def close(self) -> None:
        """End the probes and release the providers' connections."""
        await self._health.close()
        for provider in self._providers.values():
            await provider.close()

    async def _begin(self, request: ModelRequest, ends: float, held: AsyncExitStack) -> BegunAnswer:
        started = time.perf_counter()
        try:
            async with asyncio.timeout_at(ends):
                return await self._chain.begin(request, started, held)
        except TimeoutError as error:
            late = DeadlineExceeded(f"No model answered within {self._patience.total_s:g} seconds.")
            await self._chain.refuse(request, started, late)
            raise late from error

    def _report(self, ref: ModelRef) -> HealthReport:
        admission = self._admissions[ref.provider]
        return self._health.report(ref, active=admission.active, waiting=admission.waiting, parallel=admission.parallel)
