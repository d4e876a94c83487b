"""Answers once what is asked several times: a `ModelRequest` goes in, deltas of the model or of a kept answer come out.

It stands before the model router, behind the workflow: every chat turn is one run of the workflow, and what is spared
is the model. Only turns that `/retrieve` was asked for are answered here (`retrievals.py`); every other call goes past.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from pipelines.answer.cache.cache_key import answer_key
from pipelines.answer.cache.followed_call import FollowedCall
from pipelines.answer.cache.kept_answers import KeptAnswer, KeptAnswers, worth_keeping
from pipelines.answer.cache.shared_answer import SharedAnswer
from pipelines.answer.generate.completion import Completion, collected
from pipelines.answer.generate.model_calls import ModelCall, ModelCalls
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.generate.router import ModelRouter
from pipelines.answer.generate.spending import NO_SPENDING, Spending, Spent
from pipelines.answer.retrievals import Retrievals
from pipelines.errors import BudgetSpent, ModelUnavailable, RaglineError
from pipelines.providers.base import ChatDelta, Finish, TextDelta


class AnswerCache:
    """Gives a kept answer again, and lets those who ask the same at once follow one call of the model.

    The first of them pays for it; the others count as cached. Calls are shared within a process: of several replicas
    each may make one. `kept` is None where answers are not kept; calls are shared all the same. `hits`, `misses` and
    `shared` count the turns that got a kept answer, that called the model, and that followed another's call.
    """

    def __init__(
        self,
        router: ModelRouter,
        retrievals: Retrievals,
        kept: KeptAnswers | None,
        *,
        spending: Spending = NO_SPENDING,
    ) -> None:
        self._router = router
        self._retrievals = retrievals
        self._kept = kept
        self._spending = spending
        self._shared: dict[str, SharedAnswer] = {}
        self._following = 0
        self.hits = self.misses = self.shared = 0

    @property
    def active(self) -> int:
        """How many answers are being sent now, whoever writes them."""
        return self._router.active + self._following

    @property
    def calls(self) -> ModelCalls:
        """What became of each call."""
        return self._router.calls

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ChatDelta, None]:
        """Yield the answer as `ModelRouter.stream` does, with the same errors.

        Closing the generator ends the model's call when nobody else follows it.
        """
        keyed = await self._keyed(request)
        if keyed is None:
            async with aclosing(self._router.stream(request)) as deltas:
                async for delta in deltas:
                    yield delta
            return
        asked, key = keyed
        while True:
            shared = self._shared.get(key) if not request.fresh else None
            call = FollowedCall(request, asked) if shared else None
            try:
                async with aclosing(self._sent(shared or self._begun(key, asked, request), call)) as deltas:
                    async for delta in deltas:
                        yield delta
                return
            except BudgetSpent:
                if call is None or call.begun:
                    raise
                # It is another reader's money that was spent: who waited for him asks anew, for himself.

    async def complete(self, request: ModelRequest) -> Completion:
        """The whole answer at once; raises as `stream` does."""
        return await collected(self.stream(request))

    async def _keyed(self, request: ModelRequest) -> tuple[str, str] | None:
        """The model that is asked and the key of its answer; None for a call that is not shared with anybody."""
        retrieved = await self._retrievals.get(request.request_id)
        if retrieved is None:
            return None
        try:
            asked = str(await self._router.resolve(request.model))
        except ModelUnavailable:  # whether something else answers is the router's to say
            return None
        return asked, answer_key(asked, request, retrieved.basis)

    def _begun(self, key: str, asked: str, request: ModelRequest) -> SharedAnswer:
        begun = SharedAnswer(request.request_id, self._answered(key, asked, request), partial(self._over, key))
        if not request.fresh:  # what is asked for anew is nobody's but his who asks
            self._shared[key] = begun
        return begun

    def _over(self, key: str, answer: SharedAnswer) -> None:
        if self._shared.get(key) is answer:
            del self._shared[key]

    async def _answered(self, key: str, asked: str, request: ModelRequest) -> AsyncGenerator[ChatDelta, None]:
        """The kept answer if there is one, else the model's, which is then kept."""
        kept = await self._kept.get(key) if self._kept and not request.fresh else None
        deltas = self._again(kept, asked, request) if kept else self._new(key, request)
        async with aclosing(deltas):
            async for delta in deltas:
                yield delta

    async def _again(self, kept: KeptAnswer, asked: str, request: ModelRequest) -> AsyncGenerator[ChatDelta, None]:
        self.hits += 1
        call = FollowedCall(request, asked)
        await self.calls.put(call.first_text(ModelCall(request.request_id, asked, kept.model, wait_ms=0)))
        for piece in kept.pieces():
            yield TextDelta(piece)
            await asyncio.sleep(0)  # lets it be sent: who reads it gets pieces and not all at once
        await self.calls.put(call.finished(kept.usage))
        self._spending.record(Spent(request.user_id, kept.model, kept.usage, 0.0, cached=True))
        yield Finish("stop", kept.usage)

    async def _new(self, key: str, request: ModelRequest) -> AsyncGenerator[ChatDelta, None]:
        self.misses += 1
        texts: list[str] = []
        async with aclosing(self._router.stream(request)) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    texts.append(delta.text)
                else:
                    await self._keep(key, request, "".join(texts), delta)
                yield delta

    async def _keep(self, key: str, request: ModelRequest, text: str, finish: Finish) -> None:
        call = await self.calls.get(request.request_id)
        if self._kept and call and finish.usage and worth_keeping(request, text, finish, call):
            await self._kept.put(key, KeptAnswer(text, call.model, finish.usage))

    async def _sent(self, shared: SharedAnswer, call: FollowedCall | None) -> AsyncGenerator[ChatDelta, None]:
        """The deltas as one reader gets them; `call` is what is recorded for one who follows another's call."""
        self._following += call is not None
        try:
            async with shared.followed() as deltas:
                async for delta in deltas:
                    if call:
                        await self._record(shared, call, delta)
                    yield delta
        except RaglineError as error:
            if call:
                await self.calls.put(call.failed(error))
            raise
        finally:
            self._following -= call is not None

    async def _record(self, shared: SharedAnswer, call: FollowedCall, delta: ChatDelta) -> None:
        if isinstance(delta, TextDelta):
            if not call.begun:
                self.shared += 1
                await self.calls.put(call.first_text(await self.calls.get(shared.request_id)))
        elif delta.usage:
            await self.calls.put(call.finished(delta.usage))
            self._spending.record(Spent(call.user_id, call.model, delta.usage, 0.0, cached=True))
