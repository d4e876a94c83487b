"""What has happened to one answer so far: the workflow's events go in, what its reader gets comes out."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

from pipelines.answer.answer_request import AnswerRequest
from pipelines.answer.cite import CitationFilter
from pipelines.answer.generate.model_calls import ModelCall
from pipelines.answer.generate.spending import Spent
from pipelines.answer.notices import found, notices
from pipelines.answer.retrievals import Retrieved
from pipelines.answer.sources import read_sources
from pipelines.answer.workflow import WorkflowEvent, WorkflowItem, WorkflowStarted, WorkflowText
from pipelines.cost import estimate_usage
from pipelines.domain import AnswerEvent, CitationsEvent, DoneEvent, StatusEvent, Timings, TokenEvent, Usage

logger = logging.getLogger(__name__)

RETRIEVAL_STAGES = (
    *("understand_ms", "embed_ms", "recognise_ms", "search_ms"),
    *("rerank_ms", "assemble_ms", "retrieve_ms"),
)
"""What `/retrieve` says of its time, which the workflow passes on."""
SEARCHING = StatusEvent("Searching your documents")


class Progress:
    """One answer, from the moment the gateway has its question."""

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
        return [self._found, *(StatusEvent(notice, done=True) for notice in notices(call))]

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
        self._found = StatusEvent(found(citations), done=True)
        return [replace(self._found, done=False), CitationsEvent(citations)]

    def _since(self, moment: float) -> float:
        return round((moment - self._request.started) * 1000, 3)


def _tokens(text: str) -> list[AnswerEvent]:
    return [TokenEvent(text)] if text else []


def _with_retrieval(timings: Timings, values: object) -> Timings:
    if not isinstance(values, dict):
        return timings
    measured = {name: float(values[name]) for name in RETRIEVAL_STAGES if isinstance(values.get(name), int | float)}
    return replace(timings, **measured)
