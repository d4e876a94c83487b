"""An answer cache before a real router, a real provider and the model server, with the prompts the product writes."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from pipelines.answer.cache.answer_cache import AnswerCache
from pipelines.answer.cache.kept_answers import KeptAnswers
from pipelines.answer.generate.model_calls import ModelCall
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.generate.router import ModelRouter
from pipelines.answer.generate.spending import Spending, Spent
from pipelines.answer.prompt import render_prompt
from pipelines.answer.retrievals import Basis, Retrievals, Retrieved
from pipelines.domain import Citation, Message, Question, User
from pipelines.errors import BudgetSpent
from pipelines.providers.base import ChatDelta, TextDelta
from pipelines.stores.cache import Cache, MemoryCache
from tests.models import ModelServer, running_model_server
from tests.unit.answer.generate.test_router import build_router

FAST = "ollama/mock-ttft0-itl0-len40"
SLOW = "ollama/mock-ttft30-itl5-len40"
LEAVE = Citation(1, "d1", 3, "Leave p.3", ("There are 28 days of leave.",), (0.9,))
READERS = Basis("readers of one kind", "the corpus as it is")


class Money(Spending):
    """Notes what is spent, and has none for the users in `poor`."""

    def __init__(self) -> None:
        self.spent: list[Spent] = []
        self.poor: set[str] = set()

    def check(self, user_id: str, model: str) -> None:
        if user_id in self.poor:
            raise BudgetSpent(f"The money of {user_id} is spent.", retry_after=60)

    def record(self, spent: Spent) -> None:
        self.spent.append(spent)


class Bench:
    """What a test asks, and what it looks at."""

    def __init__(
        self, server: ModelServer, router: ModelRouter, cache: Cache, money: Money, *, keeps: bool, ttl_s: float
    ) -> None:
        self.server = server
        self.router = router
        self.cache = cache
        self.money = money
        self.retrievals = Retrievals(cache)
        self.answers = AnswerCache(
            router, self.retrievals, KeptAnswers(cache, ttl_s) if keeps else None, spending=money
        )
        self._ids = (f"r{number}" for number in itertools.count())

    async def request(
        self,
        question: str = "How much leave?",
        *,
        basis: Basis | None = READERS,
        model: str = FAST,
        history: Sequence[Message] = (),
        citations: Sequence[Citation] = (LEAVE,),
        **rest: Any,
    ) -> ModelRequest:
        """A turn as the workflow brings it to the router, after its retrieval unless `basis` is None."""
        prompt = render_prompt(Question(question, User("anna"), tuple(history)), citations)
        messages = (Message("system", prompt.system), Message("user", prompt.text))
        request_id = next(self._ids)
        if basis:
            await self.retrievals.put(request_id, Retrieved(basis, len(prompt.text)))
        return ModelRequest(model, rest.pop("messages", messages), request_id=request_id, user_id="anna", **rest)

    async def deltas(self, request: ModelRequest) -> list[ChatDelta]:
        """All that comes for it."""
        async with aclosing(self.answers.stream(request)) as deltas:
            return [delta async for delta in deltas]

    async def ask(self, question: str = "How much leave?", **fields: Any) -> tuple[str, ModelCall]:
        """The answer's text, and what became of the call."""
        request = await self.request(question, **fields)
        text = said(await self.deltas(request))
        call = await self.router.calls.get(request.request_id)
        assert call is not None
        return text, call

    @property
    def calls(self) -> int:
        """How many requests the model server has had."""
        return self.server.stats.requests


def said(deltas: Sequence[ChatDelta]) -> str:
    """The text of an answer."""
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


@asynccontextmanager
async def bench(
    *, cache: Cache | None = None, keeps: bool = True, ttl_s: float = 60, url: str = "", **router: Any
) -> AsyncIterator[Bench]:
    """Everything for one test."""
    money = Money()
    async with running_model_server() as server:
        built = build_router(server, url=url, spending=money, **router)
        yield Bench(server, built, cache or MemoryCache(10**6), money, keeps=keeps, ttl_s=ttl_s)
        await built.close()
