"""Finds the model that answers: a request goes in, the answer that the first of several models has begun comes out.

The asked model comes first, then `LLM_FALLBACK` in its order. Each is asked under a slot of its provider, and none that
is known to be down.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from pipelines.answer.generate.account import Account, Books
from pipelines.answer.generate.admission import Admission, QueueFull
from pipelines.answer.generate.ask_model import Begun, ask_model
from pipelines.answer.generate.health import Health
from pipelines.answer.generate.model_calls import Attempt
from pipelines.answer.generate.model_directory import DEFAULT, ModelDirectory, ModelRef
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.errors import (
    Busy,
    ContextTooLong,
    DeadlineExceeded,
    ModelFailed,
    ModelUnavailable,
    RaglineError,
    UnknownModel,
)
from pipelines.providers.base import ChatProvider, TextDelta

_TRY_NEXT = (ModelUnavailable, ModelFailed, Busy, DeadlineExceeded, ContextTooLong)
"""What another model may still answer; it may read more, too. A spent budget is not among them: the reader is to know
of it. Nor is an unknown model that was asked for: that is a mistake to be shown."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BegunAnswer:
    """An answer that has begun: of which model, what came of it so far, and its account."""

    ref: ModelRef
    begun: Begun
    account: Account


@dataclass(frozen=True, slots=True)
class FallbackChain:
    """The asked model and those that are tried after it. `first_token_s` is the patience with each of them."""

    providers: Mapping[str, ChatProvider]
    admissions: Mapping[str, Admission]
    directory: ModelDirectory
    health: Health
    books: Books
    fallback: tuple[str, ...]
    first_token_s: float
    retries: int

    async def begin(self, request: ModelRequest, started: float, held: AsyncExitStack) -> BegunAnswer:
        """Return the first answer that begins; `held` then holds its slot and its connection.

        Raises:
            RaglineError: what the asked model raised, when none begins; it is recorded, too.
        """
        try:
            return await self._first(request, started, held)
        except RaglineError as error:
            await self.refuse(request, started, error)
            raise

    async def refuse(self, request: ModelRequest, started: float, error: RaglineError) -> None:
        """Record that no model answered."""
        model = request.model or DEFAULT
        nobody = Attempt(request.request_id, asked=model, model=model, started=started)
        await self.books.calls.put(nobody.failed(error))

    async def _first(self, request: ModelRequest, started: float, held: AsyncExitStack) -> BegunAnswer:
        asked = request.model or DEFAULT
        tried: set[ModelRef] = set()
        failures: list[RaglineError] = []
        for model_id in (asked, *(self.fallback if request.fall_back else ())):
            try:
                ref = await self.directory.resolve(model_id)
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
    ) -> BegunAnswer:
        self.books.spending.check(request.user_id, str(ref))
        self.health.admit(ref)  # nobody waits in line for a model that is down
        await held.enter_async_context(self.admissions[ref.provider].slot())
        attempt = Attempt(request.request_id, asked=asked, model=str(ref), started=started)
        provider = self.providers[ref.provider]
        with self.health.asking(ref):
            begun = await ask_model(provider, ref, request, patience_s=self.first_token_s, retries=self.retries)
            held.push_async_callback(begun.rest.aclose)
        account = Account(self.books, request, ref, attempt)
        if isinstance(begun.first, TextDelta):
            await account.begun(begun.dropped_passages)
        return BegunAnswer(ref, begun, account)
