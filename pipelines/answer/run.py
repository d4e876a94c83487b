"""The way from a question to its answer: an `AnswerRequest` goes in, `AnswerEvent`s come out as they happen.

workflow (n8n) → retrieve → generate happen behind `WorkflowClient`; this module owns the deadline, lets no citation
through that the workflow sent no passage for, and decides when an answer is whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from pipelines.answer.answer_request import AnswerRequest
from pipelines.answer.generate.model_calls import ModelCalls
from pipelines.answer.generate.spending import NO_SPENDING, Spending, Spent
from pipelines.answer.progress import Progress
from pipelines.answer.retrievals import Retrievals
from pipelines.answer.workflow import WorkflowClient, WorkflowEvent, WorkflowText
from pipelines.cost import PriceList
from pipelines.domain import AnswerEvent, Usage
from pipelines.errors import DeadlineExceeded, RaglineError, WorkflowFailed

NO_PRICES = PriceList(())


@dataclass(frozen=True, slots=True)
class AnswerPath:
    """Answers questions through one workflow.

    `prices`, `spending` and `retrievals` are for answers of n8n's own model nodes, which tell nobody what they took:
    their tokens are estimated from how long the prompt and the answer are, and charged to the model that was meant. All
    other answers are recorded by the router.
    """

    workflow: WorkflowClient
    calls: ModelCalls
    deadline_s: float
    prices: PriceList = NO_PRICES
    spending: Spending = NO_SPENDING
    retrievals: Retrievals | None = None

    async def answer(self, request: AnswerRequest) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the answer's events; the last one of a whole answer is a `DoneEvent`.

        Nothing is yielded before the workflow has accepted the question, so errors until then have a proper status.
        Closing the iterator stops the workflow and the model.

        Raises:
            RaglineError: whatever ended the answer early; nothing follows it.
        """
        progress = Progress(request)
        try:
            async with aclosing(self.workflow.run(request.body(), request_id=request.request_id)) as events:
                async for event in _until(events, request.started + self.deadline_s):
                    if isinstance(event, WorkflowText) and not progress.writing:
                        call = await self.calls.get(request.request_id)
                        # Another replica's call that cannot be looked up is charged there, and must not be here too.
                        if call is None and self.calls.complete:
                            await self._begun_elsewhere(progress, request.request_id)
                        for status in progress.begin(call):
                            yield status
                    for answer_event in progress.follow(event):
                        yield answer_event
        except WorkflowFailed as error:
            raise (await self._reason(request.request_id) or error) from error
        finally:
            # Also when the answer broke off or the reader went away: what was written by then is charged.
            if progress.elsewhere and request.meant:
                self.spending.record(self._estimated(progress.usage, request))
        for answer_event in progress.finish():
            yield answer_event
        if progress.elsewhere:
            yield progress.done_elsewhere(self._estimated(progress.usage, request))
        else:
            yield progress.done(await self.calls.get(request.request_id))

    async def _reason(self, request_id: str) -> RaglineError | None:
        """Why the workflow failed: it only says at which step, and the router or `/retrieve` knows more."""
        call = await self.calls.get(request_id)
        if call and call.error:
            return call.error
        return await self.retrievals.failure(request_id) if self.retrievals else None

    async def _begun_elsewhere(self, progress: Progress, request_id: str) -> None:
        retrieved = await self.retrievals.get(request_id) if self.retrievals else None
        await self.calls.put(progress.begun_elsewhere(retrieved))

    def _estimated(self, usage: Usage, request: AnswerRequest) -> Spent:
        return Spent(request.question.user.id, request.meant, usage, self.prices.cost_usd(request.meant, usage))


async def _until(events: AsyncGenerator[WorkflowEvent, None], deadline: float) -> AsyncGenerator[WorkflowEvent, None]:
    # The timeout spans only the wait for the next event: around a yield it would cancel whoever consumes it.
    loop = asyncio.get_running_loop()
    ends = loop.time() + (deadline - time.perf_counter())
    while True:
        try:
            async with asyncio.timeout_at(ends):
                event = await anext(events)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise DeadlineExceeded("The answer took longer than it may and was stopped.") from error
        yield event
