"""Keeps account of one model's answer: what becomes of it goes in, its `ModelCall` and what was spent come out."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pipelines.answer.generate.model_calls import Attempt, ModelCalls
from pipelines.answer.generate.model_directory import ModelRef
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.generate.spending import Spending, Spent
from pipelines.cost import PriceList, estimate_usage
from pipelines.domain import Usage
from pipelines.errors import Busy, ContextTooLong, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.base import Finish

_BEFORE_AN_ANSWER = (ModelUnavailable, Busy, ContextTooLong, UnknownModel)
"""What a provider may say instead of an answer; said in the middle of one, it means that this one broke off."""


@dataclass(frozen=True, slots=True)
class Books:
    """Where accounts are kept."""

    calls: ModelCalls
    prices: PriceList
    spending: Spending


class Account:
    """The account of an answer from its first token on, which spans it as a context manager.

    `characters` is how long the answer is so far.
    """

    def __init__(self, books: Books, request: ModelRequest, ref: ModelRef, attempt: Attempt) -> None:
        self._books = books
        self._request = request
        self._model = str(ref)
        self._attempt = attempt
        self._spent = False
        self.characters = 0

    async def begun(self, dropped_passages: int) -> None:
        """Write down that it has begun."""
        self._attempt.shortened(dropped_passages)
        await self._books.calls.put(self._attempt.first_token())

    async def finished(self, finish: Finish) -> Finish:
        """Write down a whole answer, and return its end with usage."""
        usage = finish.usage or self._estimate()
        cost_usd = self._spend(usage)
        await self._books.calls.put(self._attempt.finished(usage, cost_usd))
        return Finish(finish.reason, usage)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write down what ended it early, which is raised as its reader is to know it, and what it took till then."""
        if not self._spent:
            self._spend(self._estimate())
        if not isinstance(error, RaglineError):
            return
        failure: RaglineError = error
        if isinstance(error, _BEFORE_AN_ANSWER):
            failure = ModelFailed(f"{self._model} broke off in the middle of its answer.")
        await self._books.calls.put(self._attempt.failed(failure))
        if failure is not error:
            raise failure from error

    def _spend(self, usage: Usage) -> float | None:
        cost_usd = self._books.prices.cost_usd(self._model, usage)
        self._books.spending.record(Spent(self._request.user_id, self._model, usage, cost_usd))
        self._spent = True
        return cost_usd

    def _estimate(self) -> Usage:
        prompt = sum(len(message.content) for message in self._request.messages)
        return estimate_usage(prompt, self.characters)
