"""The way from a question to its answer: a `Question` goes in, `AnswerEvent`s come out as they happen.

workflow (n8n) → retrieve → generate happen behind `WorkflowClient`; this module owns the deadline, the status lines
and the timings, lets no citation through that the workflow sent no passage for, and decides when an answer is whole.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from pipelines.answer.cite import CitationFilter
from pipelines.answer.generate.model_calls import ModelCall, ModelCalls
from pipelines.answer.generate.model_names import spoken
from pipelines.answer.generate.spending import NO_SPENDING, Spending, Spent
from pipelines.answer.retrievals import Retrievals, Retrieved
from pipelines.answer.sources import read_sources
from pipelines.answer.workflow import (
    WorkflowClient,
    WorkflowEvent,
    WorkflowItem,
    WorkflowStarted,
    WorkflowText,
)
from pipelines.cost import PriceList, estimate_usage
from pipelines.domain import (
    AnswerEvent,
    Citation,
    CitationsEvent,
    DoneEvent,
    Question,
    StatusEvent,
    Timings,
    TokenEvent,
    Usage,
)
from pipelines.errors import DeadlineExceeded, WorkflowFailed

logger = logging.getLogger(__name__)

RETRIEVAL_STAGES = (
    *("understand_ms", "embed_ms", "recognise_ms", "search_ms"),
    *("rerank_ms", "assemble_ms", "retrieve_ms"),
)
"""What `/retrieve` says of its time, which the workflow passes on."""
SEARCHING = StatusEvent("Searching your documents")
NO_PRICES = PriceList(())


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """A question with what the gateway decided about it. `started` is `time.perf_counter()` at its arrival.

    `fresh`: the reader has had an answer to it and asks for another. `provider` and `provider_model` are what `model`
    means now, empty where nobody says.
    """

    question: Question
    model: str
    request_id: str
    started: float
    limit: int | None = None
    fresh: bool = False
    provider: str = ""
    provider_model: str = ""

    @property
    def meant(self) -> str:
        """The model that `model` means now, as `<provider>/<model>`; empty where nobody says."""
        return f"{self.provider}/{self.provider_model}" if self.provider else ""

    def body(self) -> dict[str, Any]:
        """What the workflow's webhook receives."""
        user = self.question.user
        return {
            "request_id": self.request_id,
            "question": self.question.text,
            "history": [{"role": turn.role, "content": turn.content} for turn in self.question.history],
            "user": {"id": user.id, "groups": list(user.groups)},
            "limit": self.limit,
            # For a workflow whose model nodes are n8n's own.
            "provider": self.provider,
            "provider_model": self.provider_model,
            # What the workflow's model node passes on to the model router as it is.
            "ask": {"model": self.model, "request_id": self.request_id, "user": user.id, "fresh": self.fresh},
        }


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
        progress = _Progress(request)
        try:
            async with aclosing(self.workflow.run(request.body(), request_id=request.request_id)) as events:
                async for event in _until(events, request.started + self.deadline_s):
                    if isinstance(event, WorkflowText) and not progress.writing:
                        call = await self.calls.get(request.request_id)
                        if call is None:
                            await self._begun_elsewhere(progress, request.request_id)
                        for status in progress.begin(call):
                            yield status
                    for answer_event in progress.follow(event):
                        yield answer_event
        except WorkflowFailed as error:
            # The workflow only says that its model step failed; the router knows why.
            call = await self.calls.get(request.request_id)
            raise (call.error if call and call.error else error) from error
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

    async def _begun_elsewhere(self, progress: _Progress, request_id: str) -> None:
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


class _Progress:
    """What has happened to one answer so far, and what the reader is told about it."""

    def __init__(self, request: AnswerRequest) -> None:
        self._request = request
        self._found = StatusEvent("Answering", done=True)
        self._timings = Timings(gateway_ms=self._since(time.perf_counter()))
        self._first_token: float | None = None
        self._prompt_characters = len(request.question.text)
        self._answer_characters = 0
        self.elsewhere = False
        # A workflow sends its sources before the text: a number that comes before its passage is known has none.
        self._numbers: set[int] = set()
        self._citations = CitationFilter(self._numbers)

    @property
    def writing(self) -> bool:
        """Whether the reader has had the first token."""
        return self._first_token is not None

    def begin(self, call: ModelCall | None) -> list[AnswerEvent]:
        """What is said just before the first token: what was found, and who answers if not the one asked."""
        self._first_token = time.perf_counter()
        return [self._found, *(StatusEvent(notice, done=True) for notice in _notices(call))]

    def begun_elsewhere(self, retrieved: Retrieved | None) -> ModelCall:
        """The record of an answer that no model of this router has begun, so that the router begins no second one."""
        self.elsewhere = True
        if retrieved:
            self._prompt_characters = retrieved.prompt_characters
        return ModelCall(self._request.request_id, asked="", model="", wait_ms=0, model_ttft_ms=0)

    def follow(self, event: WorkflowEvent) -> list[AnswerEvent]:
        """What the reader gets of one event of the workflow."""
        match event:
            case WorkflowStarted():
                return [SEARCHING]
            case WorkflowItem(_, content):
                return self._item(content)
            case WorkflowText(text):
                self._answer_characters += len(text)
                return _tokens(self._citations.feed(text))

    def finish(self) -> list[AnswerEvent]:
        """The last of the text, which was held back because it might have become a citation."""
        last = _tokens(self._citations.end())
        if self._citations.dropped:
            logger.warning(
                "%d citations of answer %s were dropped: no passage has their number",
                self._citations.dropped,
                self._request.request_id,
            )
        return last

    def done(self, call: ModelCall | None) -> DoneEvent:
        """The end of a whole answer, with its figures as far as they are known here."""
        timings = self._measured()
        if call is None or not call.model:
            return DoneEvent(timings=timings)
        timings = replace(timings, queue_ms=call.wait_ms, model_ttft_ms=call.model_ttft_ms, model_ms=call.model_ms)
        if timings.ttft_ms is not None:
            elsewhere = (timings.gateway_ms, timings.retrieve_ms, call.wait_ms, call.model_ttft_ms)
            spent = sum(part or 0 for part in elsewhere)
            timings = replace(timings, workflow_ms=round(max(0.0, timings.ttft_ms - spent), 3))
        return DoneEvent(
            model=call.model, usage=call.usage, cost_usd=call.cost_usd, cached=call.cached, timings=timings
        )

    @property
    def usage(self) -> Usage:
        """An estimate of what a model took that does not say."""
        return estimate_usage(self._prompt_characters, self._answer_characters)

    def done_elsewhere(self, spent: Spent) -> DoneEvent:
        """The end of a whole answer that a workflow with a model node of its own has written."""
        return DoneEvent(model=spent.model, usage=spent.usage, cost_usd=spent.cost_usd, timings=self._measured())

    def _measured(self) -> Timings:
        timings = replace(self._timings, total_ms=self._since(time.perf_counter()))
        return timings if self._first_token is None else replace(timings, ttft_ms=self._since(self._first_token))

    def _item(self, content: dict[str, Any]) -> list[AnswerEvent]:
        if "status" in content:
            return [StatusEvent(str(content["status"])[:200])]
        if "sources" not in content:
            return []
        citations = read_sources(content["sources"])
        self._numbers.update(citation.number for citation in citations)
        self._timings = _with_retrieval(self._timings, content.get("timings"))
        # Without a record of the prompt: it is longer than this.
        self._prompt_characters += sum(len(passage) for citation in citations for passage in citation.passages)
        self._found = StatusEvent(_describe(citations), done=True)
        return [replace(self._found, done=False), CitationsEvent(citations)]

    def _since(self, moment: float) -> float:
        return round((moment - self._request.started) * 1000, 3)


def _notices(call: ModelCall | None) -> list[str]:
    """What a reader should know of how the answer came about."""
    if call is None:
        return []
    notices: list[str] = []
    if call.cached:
        notices.append("This question was asked before: the answer is the one given then")
    if call.fallback:
        notices.append(f"{_capitalised(spoken(call.asked))} did not answer: {spoken(call.model)} instead")
    if call.dropped_passages:
        dropped = f"{call.dropped_passages} {_plural(call.dropped_passages, 'passage')}"
        notices.append(f"The model reads no more: the weakest {dropped} were left out")
    return notices


def _capitalised(words: str) -> str:
    return words[:1].upper() + words[1:]


def _tokens(text: str) -> list[AnswerEvent]:
    return [TokenEvent(text)] if text else []


def _describe(citations: tuple[Citation, ...]) -> str:
    if not citations:
        return "No passage found in your documents"
    passages = sum(len(citation.passages) for citation in citations)
    documents = len({citation.document_id for citation in citations})
    return f"Found {passages} {_plural(passages, 'passage')} in {documents} {_plural(documents, 'document')}"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _with_retrieval(timings: Timings, values: object) -> Timings:
    if not isinstance(values, dict):
        return timings
    measured = {name: float(values[name]) for name in RETRIEVAL_STAGES if isinstance(values.get(name), int | float)}
    return replace(timings, **measured)
