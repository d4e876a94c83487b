"""What an answer took whose model the router did not call: an estimate that says so, charged once, also by half."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from pipelines.answer.answer_request import AnswerRequest
from pipelines.answer.generate.model_calls import InProcessModelCalls, ModelCall
from pipelines.answer.generate.shared_model_calls import SharedModelCalls
from pipelines.answer.generate.spending import Spending, Spent
from pipelines.answer.retrievals import Basis, Retrievals, Retrieved
from pipelines.answer.run import AnswerPath
from pipelines.answer.workflow import WorkflowClient
from pipelines.cost import Price, PriceList
from pipelines.domain import AnswerEvent, DoneEvent, Question, TokenEvent, Usage, User
from pipelines.errors import ModelUnavailable, WorkflowFailed
from pipelines.stores.cache import MemoryCache
from pipelines.stores.valkey import ValkeyCache
from tests.contract.redis_server import running_redis
from tests.fakes.n8n import Handler, N8n, answer, chunk, stream

NOVA = "bedrock/nova"
PRICES = PriceList(
    [
        Price.model_validate(
            {
                "model": NOVA,
                "input": 1,
                "output": 10,
                "unit": "USD per 1M tokens",
                "region": "here",
                "source": "a page",
                "read_on": "2026-11-21",
                "confidence": "read",
            }
        )
    ]
)


class Noted(Spending):
    """Keeps what is recorded."""

    def __init__(self) -> None:
        self.spent: list[Spent] = []

    def check(self, user_id: str, model: str) -> None:
        return

    def record(self, spent: Spent) -> None:
        self.spent.append(spent)


class Bench:
    """An answer path with what stands around it."""

    def __init__(self, path: AnswerPath, spending: Noted, calls: InProcessModelCalls, retrievals: Retrievals) -> None:
        self.path = path
        self.spending = spending
        self.calls = calls
        self.retrievals = retrievals

    async def ask(self, request: AnswerRequest) -> list[AnswerEvent]:
        return [event async for event in self.path.answer(request)]


Serve = Callable[[Handler], AbstractAsyncContextManager[Bench]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    @asynccontextmanager
    async def path_over(webhook: Handler) -> AsyncIterator[Bench]:
        (tmp_path / "key").write_text("n8n-key")
        calls, spending, retrievals = InProcessModelCalls(), Noted(), Retrievals(MemoryCache(10_000))
        await retrievals.put("r1", Retrieved(Basis("a", "b"), prompt_characters=4000))
        async with N8n(webhook) as n8n:
            client = WorkflowClient(
                n8n.url, path="answer-question", key="k" * 16, api_key_file=tmp_path / "key", idle_timeout_s=5
            )
            async with client as workflow:
                path = AnswerPath(workflow, calls, 30, prices=PRICES, spending=spending, retrievals=retrievals)
                yield Bench(path, spending, calls, retrievals)

    return path_over


def request_of(*, request_id: str = "r1", provider: str = "bedrock", model: str = "nova") -> AnswerRequest:
    question = Question(text="How much leave?", user=User(id="u1"))
    return AnswerRequest(
        question, "default", request_id, started=time.perf_counter(), provider=provider, provider_model=model
    )


def retrieved() -> bytes:
    passage = {
        "source": {"id": "leave#3", "name": "Leave p.3"},
        "document": ["x" * 300],
        "metadata": [{"source": "leave#3", "name": "Leave p.3", "number": 1, "document_id": "leave", "page": 3}],
        "distances": [0.9],
    }
    return chunk("item", json.dumps({"execution_id": "77", "sources": [passage]}), "Send citations")


async def by_n8ns_own_node(request: web.Request) -> web.StreamResponse:
    return await stream(request, retrieved(), answer("Thirty ", "days [1]."))


async def test_what_nobody_counted_is_estimated_from_the_prompt_and_the_answer_and_charged_once(serve: Serve) -> None:
    async with serve(by_n8ns_own_node) as bench:
        done = (await bench.ask(request_of()))[-1]
    assert isinstance(done, DoneEvent)
    assert done.usage == Usage(1000, 4, estimated=True)
    assert done.model == NOVA
    assert done.cost_usd == pytest.approx(0.00104)
    assert done.timings.ttft_ms is not None
    assert bench.spending.spent == [Spent("u1", NOVA, Usage(1000, 4, estimated=True), done.cost_usd)]


async def test_what_another_replica_may_have_counted_is_not_counted_here_while_nobody_can_say(serve: Serve) -> None:
    with running_redis() as server:
        cache = ValkeyCache(server.url)
        async with serve(by_n8ns_own_node) as bench:
            path = replace(bench.path, calls=SharedModelCalls(cache))
            server.process.kill()
            server.process.wait()
            done = [event async for event in path.answer(request_of())][-1]
        await cache.close()
    assert isinstance(done, DoneEvent)
    assert (done.usage, bench.spending.spent) == (None, [])


async def test_where_the_prompt_was_not_noted_it_is_charged_for_question_and_passages_at_least(serve: Serve) -> None:
    async with serve(by_n8ns_own_node) as bench:
        done = (await bench.ask(request_of(request_id="r2")))[-1]
    assert isinstance(done, DoneEvent)
    assert done.usage == Usage(79, 4, estimated=True)


async def test_an_answer_that_breaks_off_is_charged_for_what_was_written(serve: Serve) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        broken = chunk("begin") + chunk("item", "Thirty d") + chunk("error", "overloaded")
        return await stream(request, retrieved(), broken)

    async with serve(webhook) as bench:
        with pytest.raises(WorkflowFailed):
            await bench.ask(request_of())
    assert [spent.usage for spent in bench.spending.spent] == [Usage(1000, 2, estimated=True)]


async def test_why_nothing_could_be_retrieved_is_told_as_retrieval_said_it(serve: Serve) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        return await stream(request, chunk("error", "Request failed with status code 503", "Retrieve passages"))

    async with serve(webhook) as bench:
        await bench.retrievals.put_failure("r1", ModelUnavailable("Documents cannot be searched now.", retry_after=5))
        with pytest.raises(ModelUnavailable, match="Documents cannot be searched now") as raised:
            await bench.ask(request_of())
        with pytest.raises(WorkflowFailed, match="Retrieve passages"):
            await bench.ask(request_of(request_id="r2"))
    assert raised.value.retry_after == 5


async def test_a_reader_who_goes_away_is_charged_for_what_was_written(serve: Serve) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        return await stream(request, retrieved(), chunk("begin"), chunk("item", "Thirty d"), then=5)

    async with serve(webhook) as bench, aclosing(bench.path.answer(request_of())) as events:
        async for event in events:
            if isinstance(event, TokenEvent):
                break
    assert [spent.usage for spent in bench.spending.spent] == [Usage(1000, 2, estimated=True)]


async def test_an_answer_of_the_router_is_left_to_the_router(serve: Serve) -> None:
    usage = Usage(3, 4, cache_read_tokens=2)

    async def webhook(request: web.Request) -> web.StreamResponse:
        await bench.calls.put(ModelCall("r1", NOVA, NOVA, 0, 5, 9, usage, 0.5))
        return await by_n8ns_own_node(request)

    async with serve(webhook) as bench:
        done = (await bench.ask(request_of()))[-1]
    assert isinstance(done, DoneEvent)
    assert (done.usage, done.cost_usd) == (usage, 0.5)
    assert bench.spending.spent == []


async def test_where_nobody_can_say_which_model_it_was_nobody_is_charged(serve: Serve) -> None:
    async with serve(by_n8ns_own_node) as bench:
        done = (await bench.ask(request_of(provider="", model="")))[-1]
    assert isinstance(done, DoneEvent)
    assert (done.model, done.cost_usd) == ("", None)
    assert done.usage == Usage(1000, 4, estimated=True)
    assert bench.spending.spent == []
